/*
 * The administration service of Holdfast: its own port (default 7413), loopback unless told
 * otherwise.
 * Conventions as in holdfast.thrift. Every call that changes something leaves an audit line in the
 * server's log.
 */
include "holdfast.thrift"

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
  /** The command feature level in force. */
  26: i32 featureLevel,
}

/** Asks nothing. */
struct MembersRequest {
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
  /** Highest command feature level it understands. */
  6: i32 featureLevel,
}

/** The members. */
struct MembersResult {
  /** As in every result. */
  1: holdfast.ResponseHeader header,
  /** Sorted by node id. */
  2: list<Member> members,
}

/** Asks the leader to hand leadership over. */
struct TransferLeadershipRequest {
  /** To whom; 0 = the member that is furthest. */
  1: i32 nodeId,
}

/** The answer, given when the new leader is known. */
struct TransferLeadershipResult {
  /** As in every result; names the new leader. */
  1: holdfast.ResponseHeader header,
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
   *  committed when the call came. LOCAL: what this server has applied; needs no leader. */
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
  /** The copy is the state at this revision. */
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

/** For operators. */
service HoldfastAdmin {
  /** This server's view of itself and the cluster; answered locally, also without a leader. */
  StatusResult status(1: holdfast.RequestContext context, 2: StatusRequest request)
      throws (1: holdfast.HoldfastError error),
  /** The members of the cluster, as this server knows them. */
  MembersResult members(1: holdfast.RequestContext context, 2: MembersRequest request)
      throws (1: holdfast.HoldfastError error),
  /** Hands leadership to another member. */
  TransferLeadershipResult transferLeadership(1: holdfast.RequestContext context,
    2: TransferLeadershipRequest request)
      throws (1: holdfast.HoldfastError error),
  /** Lists sessions. */
  ListSessionsResult listSessions(1: holdfast.RequestContext context,
    2: ListSessionsRequest request)
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
}
