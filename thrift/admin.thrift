/*
 * The administration service of Holdfast: its own port (default 7413), loopback unless told
 * otherwise.
 * Conventions as in holdfast.thrift. Every call that changes something leaves an audit line in the
 * server's log.
 */
include "holdfast.thrift"
include "watch.thrift"

namespace cpp holdfast.api
namespace py holdfast_api.admin
namespace java io.holdfast.api.admin
namespace go holdfast_admin

/** What a server is to its Raft group. */
enum RaftRole {
  /** Never sent. */
  UNSPECIFIED = 0,
  /** Follows a leader, or waits for one. */
  FOLLOWER = 1,
  /** Asks whether it could win an election. */
  PRE_CANDIDATE = 2,
  /** Stands for election. */
  CANDIDATE = 3,
  /** Leads. */
  LEADER = 4,
  /** Receives the log but does not vote. */
  LEARNER = 5,
}

/** Asks nothing. */
struct StatusRequest {
}

/** How far a peer has come, as the leader sees it. */
struct PeerProgress {
  /** The peer's node id. */
  1: i32 nodeId,
  /** Highest log index known to be durable there. */
  2: i64 matchIndex,
  /** Next log index to send. */
  3: i64 nextIndex,
  /** "probe", "replicate" or "snapshot". */
  4: string state,
  /** Appends not yet answered. */
  5: i32 inflight,
}

/** The connection to a peer, as this server sees it. */
struct PeerConnection {
  /** The peer's node id. */
  1: i32 nodeId,
  /** The peer's address. */
  2: string address,
  /** Connected and past the handshake. */
  3: bool connected,
  /** Why the last attempt failed; empty if connected. */
  4: string lastError,
}

/** Something an operator should know. */
struct Alarm {
  /** Short name, e.g. "DIGEST_MISMATCH". */
  1: string name,
  /** One sentence. */
  2: string message,
  /** The server that it is about; 0 if it is about the cluster. */
  3: i32 nodeId,
}

/** The disk of a server, as last looked at. */
struct DiskStatus {
  /** "ok", "low" or "full". */
  1: string state,
  /** Below it all files are. */
  2: string path,
  /** What may still be taken of it. */
  3: i64 freeBytes,
  /** Below this it counts as full, or, once full, still does. */
  4: i64 neededBytes,
  /** Kept for the snapshot. */
  5: i64 reserveBytes,
  /** Half of the writes of the log in the last minute took no longer; 0 = there was none. */
  6: i64 syncMedianUs,
  /** All but a hundredth of them. */
  7: i64 syncP99Us,
  /** The longest, that under way among them. */
  8: i64 syncMaxUs,
}

/** Another server's state on its way to this one, which takes its place when all of it is there. */
struct StateTransfer {
  /** The node that sends it. */
  1: i32 fromNode,
  /** So much of it has come. */
  2: i64 receivedBytes,
  /** All of it; 0 = not known yet: nothing has come. */
  3: i64 totalBytes,
}

/** One server's view of itself and the cluster. */
struct StatusResult {
  /** As in every result. */
  1: holdfast.ResponseHeader header,
  /** This server's node id. */
  2: i32 nodeId,
  /** Its role. */
  3: RaftRole role,
  /** Its term. */
  4: i64 term,
  /** Whom it voted for in this term, 0 if nobody. */
  5: i32 votedFor,
  /** The leader's node id, 0 if unknown. */
  6: i32 leaderId,
  /** Highest index known to be committed. */
  7: i64 commitIndex,
  /** Highest index applied to the state machine. */
  8: i64 appliedIndex,
  /** First index of the log. */
  9: i64 firstIndex,
  /** Last index of the log. */
  10: i64 lastIndex,
  /** Term of the last entry. */
  11: i64 lastTerm,
  /** Highest index durable on this server's disk. */
  12: i64 durableIndex,
  /** Digest of the state at appliedIndex, 32 hexadecimal digits. */
  13: string stateDigest,
  /** The leader's view of its peers; empty elsewhere. */
  14: list<PeerProgress> progress,
  /** This server's connections. */
  15: list<PeerConnection> connections,
  /** Voting members. */
  16: list<i32> voters,
  /** Members that do not vote. */
  17: list<i32> learners,
  /** Alarms raised. */
  18: list<Alarm> alarms,
  /** Sessions open. */
  19: i64 sessions,
  /** Locks held, queued for or closed. */
  20: i64 locks,
  /** Waiters of all locks. */
  21: i64 waiters,
  /** Software version. */
  22: string version,
  /** Id of this data directory. */
  23: i64 storeId,
  /** Cluster time at appliedIndex. */
  24: i64 clusterTimeMs,
  /** Boot-time ms since this process began to serve. */
  25: i64 uptimeMs,
  /** The feature level in force, at appliedIndex. */
  26: i32 featureLevel,
  /** Voters that the change under way replaces: together with `voters` a joint configuration. */
  27: list<i32> outgoing,
  /** The log's entry that brought this configuration; 0: the first one. */
  28: i64 configurationIndex,
  /** Its disk. */
  29: DiskStatus disk,
  /** The highest feature level that its program knows. */
  30: i32 knownLevel,
  /** The state that it receives, without which its own stays as old as it is; absent: none, or the
   *  server is older than this field. */
  31: optional StateTransfer receiving,
}

/** Asks nothing. */
struct MembersRequest {
}

/** What a member is to the cluster. */
enum MemberRole {
  /** Never sent. */
  UNSPECIFIED = 0,
  /** Votes. */
  VOTER = 1,
  /** Receives the log and serves, but does not vote, and stays so. */
  LEARNER = 2,
  /** Becomes a voter: a learner, as soon as it has caught up; or a voter of a change that is under
   *  way. */
  JOINING = 3,
  /** A voter that the change under way removes. */
  LEAVING = 4,
}

/** How far a member is, as the leader sees it. */
enum MemberProgress {
  /** Not known here: only the leader knows. */
  UNSPECIFIED = 0,
  /** It answers and follows the log closely. */
  CAUGHT_UP = 1,
  /** It lags, or does not answer. */
  BEHIND = 2,
}

/** A member of the cluster. */
struct Member {
  /** Node id; never reused. */
  1: i32 nodeId,
  /** Address that servers dial. */
  2: string peerAddress,
  /** Address that clients dial. */
  3: string clientAddress,
  /** Id of the only data directory whose votes count. */
  4: i64 storeId,
  /** Votes. */
  5: bool voter,
  /** Highest feature level that it knows, as committed. */
  6: i32 featureLevel,
  /** What it is to the cluster. */
  7: MemberRole role,
  /** Whether it follows the log; known on the leader. */
  8: MemberProgress progress,
  /** The leader makes it a voter by itself, as soon as it has caught up. */
  9: bool promote,
}

/** A server that was a member. Neither its id nor its store is used again. */
struct RemovedMember {
  /** Its node id. */
  1: i32 nodeId,
  /** Its data directory. */
  2: i64 storeId,
  /** The log's entry from which on it is no member. */
  3: i64 index,
}

/** The members. */
struct MembersResult {
  /** As in every result. */
  1: holdfast.ResponseHeader header,
  /** Sorted by node id. */
  2: list<Member> members,
  /** All that ever were members and are none; sorted by node id. */
  3: list<RemovedMember> removed,
  /** The log's entry that brought this configuration; 0: the first one. */
  4: i64 index,
  /** It is committed and no step of a change. */
  5: bool settled,
}

/** A server to be added. It runs with --join and an empty data directory. */
struct NewMember {
  /** The node id that it was started with, 1 to 1,000; never a member's before. */
  1: i32 nodeId,
  /** Where servers reach it, host:port. The leader asks it there who it is. */
  2: string peerAddress,
  /** JOINING, or absent: it becomes a voter as soon as it has caught up. LEARNER: it stays one.
   *  VOTER: it votes at once; commits may have to wait for it. */
  3: MemberRole role,
}

/** A change of the members, done in one step. Each node id is named once. What is so already is no
 *  error, so a repeated request succeeds. */
struct ChangeMembersRequest {
  /** To be added. */
  1: list<NewMember> added,
  /** Learners that become voters. */
  2: list<i32> promoted,
  /** Members that are removed, for good. */
  3: list<i32> removed,
  /** Begin although a promoted learner lags, or no quorum of the new voters has answered lately.
   *  Nothing is lost by it, but until there is such a quorum nothing is committed any more. */
  4: bool force,
  /** Puts this feature level in force, for good: all members must have it, and no server below it
   *  can start or be added from then on. Goes alone; 0: leaves the level as it is. */
  5: i32 raiseLevel,
}

/** The answer, given when the change is committed and its joint configuration is left. TIMEOUT with
 *  applied UNKNOWN: not yet; it goes on, and the request may be repeated. */
struct ChangeMembersResult {
  /** As in every result. */
  1: holdfast.ResponseHeader header,
  /** False: all of it was so already. */
  2: bool changed,
  /** The members after the change; sorted by node id. */
  3: list<Member> members,
  /** The feature level in force; above what was asked for if that was in force already. */
  4: i32 featureLevel,
}

/** Asks the leader to hand leadership over. */
struct TransferLeadershipRequest {
  /** To whom; 0 = another one than leads now, the member that is furthest. */
  1: i32 nodeId,
}

/** The answer, given when the new leader is known, or at once if who was named leads already. */
struct TransferLeadershipResult {
  /** As in every result; names the new leader. */
  1: holdfast.ResponseHeader header,
  /** There was nothing to do: who was named led before. */
  2: bool ledAlready,
}

/** Lists sessions by id. A page ends early at 1 MiB. */
struct ListSessionsRequest {
  /** Continue after this session id; 0 = from the first. */
  1: i64 page,
  /** Sessions per page, 1 to 1,000; absent = 100. */
  2: i32 pageSize,
  /** How current the answer must be; absent = LINEARIZABLE. */
  3: holdfast.Consistency consistency,
}

/** A session as operators see it. */
struct SessionInfo {
  /** Its id. */
  1: i64 sessionId,
  /** Its name. */
  2: string name,
  /** Its attributes. */
  3: map<string, string> attributes,
  /** Its TTL. */
  4: i64 ttlMs,
  /** How long the servers will keep it without a further renewal; -1 = not known. Only the leader
   *  knows: another server asks it, for half a second at most, unless the read is LOCAL. A hint. */
  5: i64 leaseLeftMs,
  /** When it was opened, leader's wall clock. */
  6: i64 openedUnixMs,
  /** Locks it holds. */
  7: i32 locks,
  /** Queue places it has. */
  8: i32 places,
  /** It has been silent and is marked late. */
  9: bool late,
}

/** A page of sessions. */
struct ListSessionsResult {
  /** As in every result. */
  1: holdfast.ResponseHeader header,
  /** Sorted by id. */
  2: list<SessionInfo> sessions,
  /** Pass as `page` to go on; 0 = this was the last. */
  3: i64 nextPage,
}

/** Lists the watches that the server which is asked has, of whatever session: watches are not
 *  replicated, so each server is to be asked. */
struct ListWatchesRequest {
  /** Continue there: nextPage of the last answer; 0 = from the first. */
  1: i64 page,
  /** Watches per page, 1 to 1,000; absent = 100. A page ends early at 1 MiB, and may be empty. */
  2: i32 pageSize,
}

/** A watch as operators see it. */
struct WatchInfo {
  /** Its number, on this server. */
  1: i64 watchId,
  /** Whose it is. A session that polls another server by now keeps its watches until its end. */
  2: i64 sessionId,
  /** That session's name. */
  3: string sessionName,
  /** The place. */
  4: string path,
  /** What of it. */
  5: watch.WatchScope scope,
  /** Keys, locks or both. */
  6: watch.WatchSpace space,
  /** With the new values of keys. */
  7: bool withValues,
  /** Only these types; empty = all. */
  8: list<watch.EventType> filter,
  /** Something happened that it was not told yet: its client is slow or away, if that lasts. */
  9: bool behind,
  /** It was behind the history, and is told the present state anew. */
  10: bool resyncing,
}

/** A page of watches, in no particular order. One that is there all the time is in one page. */
struct ListWatchesResult {
  /** As in every result. */
  1: holdfast.ResponseHeader header,
  /** The watches. */
  2: list<WatchInfo> watches,
  /** Pass as `page` to go on; 0 = this was the last. */
  3: i64 nextPage,
}

/** Ends a session for its client. */
struct ExpireSessionRequest {
  /** Which session. */
  1: i64 sessionId,
  /** How long the client has after it acknowledged the notice; 0 to 3,600,000. A client that does
   *  not answer loses the session one TTL after the announcement. */
  2: i64 noticeMs,
  /** For people: told to the client and kept in the tenures; at most 256 bytes. */
  3: string reason,
  /** End it at once. The client may still believe it holds locks: only tokens protect. */
  4: bool force,
}

/** The answer to expireSession. */
struct ExpireSessionResult {
  /** As in every result. */
  1: holdfast.ResponseHeader header,
}

/** Reads or changes the replicated limits. */
struct SettingsRequest {
  /** New values by name; empty = only read. All or none are taken. */
  1: map<string, i64> changes,
}

/** A replicated limit. */
struct Setting {
  /** Its name. */
  1: string name,
  /** The value in force. */
  2: i64 value,
  /** Smallest value allowed. */
  3: i64 smallest,
  /** Largest value allowed. */
  4: i64 largest,
  /** The value of a new cluster. */
  5: i64 initial,
  /** What it limits, in one sentence. */
  6: string help,
}

/** All settings after the change. */
struct SettingsResult {
  /** As in every result. */
  1: holdfast.ResponseHeader header,
  /** Sorted by name. */
  2: list<Setting> settings,
}

/** Asks for a piece of the snapshot of the server that is asked: the whole state at one revision.
 *  The server makes a copy that nobody changes, gives it piece by piece to all who ask, no faster
 *  than --snapshot_send_mib_s, and removes it when nobody has asked for half a minute. */
struct SnapshotPieceRequest {
  /** Which copy, as an answer named it; absent = begin. One that is gone is answered by the first
   *  piece of another. */
  1: i64 copy,
  /** Where in it the piece begins: a multiple of 262,144, less than its size. */
  2: i64 offset,
  /** How old the state may be, when a copy begins. Absent = LINEARIZABLE: not older than what was
   *  committed when the call came. LOCAL: what this server has applied, or with a minRevision that;
   *  needs no leader. */
  3: holdfast.Consistency consistency,
  /** How long the server may hold the answer back until the piece is there, 0 to 60,000. */
  4: i64 maxWaitMs,
}

/** A piece of a snapshot, which is a SQLite database (docs/snapshots.md). */
struct SnapshotPieceResult {
  /** As in every result. */
  1: holdfast.ResponseHeader header,
  /** Which copy the piece is of; 0: it is not there yet, ask again. */
  2: i64 copy,
  /** The copy is the state at this revision. Of one that is not there yet: what it will have at
   *  least. Ask again with LOCAL and that as minRevision: to ask anew would be to wait for more. */
  3: i64 revision,
  /** The term of the log's entry there. */
  4: i64 term,
  /** Size of the whole copy. */
  5: i64 bytes,
  /** Sum of the whole copy: XXH3 of its first piece, with that as seed of its second, and so on. */
  6: i64 sum,
  /** Where the piece begins: 0 if it is of another copy than was asked for. */
  7: i64 offset,
  /** 262,144 bytes, less only at the end. */
  8: binary data,
}

/** Asks a quarantined server to get the state of another one in place of its own. */
struct RebuildStateRequest {
  /** Whose state; 0 = that of any server that is not quarantined, the leader's first. */
  1: i32 fromNode,
  /** Also of a server that is not quarantined: it is from now on. For states that differ while no
   *  majority says which is wrong: the caller does. Not of the only one that has a state. */
  2: bool force,
}

/** The answer, given at once. The server gets the state, puts it in force as a start would, and
 *  closes all connections while it does; status tells how far it is, and no longer has the alarm
 *  QUARANTINED in the end. */
struct RebuildStateResult {
  /** As in every result. */
  1: holdfast.ResponseHeader header,
  /** Where the database that is replaced is kept on that server; empty: there is none. */
  2: string keptAs,
}

/** For operators. */
service HoldfastAdmin {
  /** This server's view of itself and the cluster; answered locally, also without a leader. */
  StatusResult status(1: holdfast.RequestContext context, 2: StatusRequest request)
      throws (1: holdfast.HoldfastError error),
  /** The members of the cluster, as this server knows them. */
  MembersResult members(1: holdfast.RequestContext context, 2: MembersRequest request)
      throws (1: holdfast.HoldfastError error),
  /** Adds, promotes and removes members. Any server takes it; the leader does it. */
  ChangeMembersResult changeMembers(1: holdfast.RequestContext context,
    2: ChangeMembersRequest request)
      throws (1: holdfast.HoldfastError error),
  /** Hands leadership to another member. */
  TransferLeadershipResult transferLeadership(1: holdfast.RequestContext context,
    2: TransferLeadershipRequest request)
      throws (1: holdfast.HoldfastError error),
  /** Lists sessions. */
  ListSessionsResult listSessions(1: holdfast.RequestContext context,
    2: ListSessionsRequest request)
      throws (1: holdfast.HoldfastError error),
  /** Lists who watches what on the server that is asked. */
  ListWatchesResult listWatches(1: holdfast.RequestContext context, 2: ListWatchesRequest request)
      throws (1: holdfast.HoldfastError error),
  /** Ends a session, with notice. */
  ExpireSessionResult expireSession(1: holdfast.RequestContext context,
    2: ExpireSessionRequest request)
      throws (1: holdfast.HoldfastError error),
  /** Reads or changes the replicated limits. */
  SettingsResult settings(1: holdfast.RequestContext context, 2: SettingsRequest request)
      throws (1: holdfast.HoldfastError error),
  /** Gives a piece of this server's snapshot: a backup, taken while it runs. Who has it has all
   *  values, and the SHA-256 of each session's secret. */
  SnapshotPieceResult snapshotPiece(1: holdfast.RequestContext context,
    2: SnapshotPieceRequest request)
      throws (1: holdfast.HoldfastError error),
  /** Replaces the state of the server that is asked by another server's, and ends its quarantine
   *  by that. What it had is kept for a person to look at. */
  RebuildStateResult rebuildState(1: holdfast.RequestContext context,
    2: RebuildStateRequest request)
      throws (1: holdfast.HoldfastError error),
}
