/*
 * The client API of Holdfast: sessions and locks. Keys and watches are in keys.thrift.
 *
 * Any stock Thrift client works with nothing but this file: framed transport, binary or compact
 * protocol (detected per connection), default client port 7411. Every server accepts every call.
 *
 * Conventions. Times are milliseconds; a field ending in UnixMs is the leader's wall clock, for
 * people, never compared. Ids and revisions are below 2^53. An absent number means 0, an absent
 * string the empty one. What can never be right is BAD_ARGUMENT, an unknown enum value UNSUPPORTED.
 * Field ids are never reused. Every call throws HoldfastError and nothing else.
 */
include "watch.thrift"

namespace cpp holdfast.api
namespace py holdfast_api.holdfast
namespace java io.holdfast.api
namespace go holdfast

/** What went wrong. The numbers are part of the contract. */
enum ErrorCode {
  /** Never sent. */ UNSPECIFIED = 0,
  /** A field has a value that can never be right; the message names field and value. */
  BAD_ARGUMENT = 1,
  /** A field or command is longer than its limit, which is named. A longer frame is not read. */
  TOO_LARGE = 2,
  /** A replicated limit (see the settings call of the admin service) would be passed. */
  LIMIT_EXCEEDED = 3,
  /** This server does not know the method, enum value or feature. */
  UNSUPPORTED = 4,
  /** Credentials are missing or wrong. */ UNAUTHENTICATED = 5,
  /** The caller may not do this. */ PERMISSION_DENIED = 6,
  /** No leader is known to this server now; retry here or elsewhere. */
  NO_LEADER = 7,
  /** The context's deadlineMs passed first. */ TIMEOUT = 8,
  /** Refused at once because a bounded queue is full; retry after retryAfterMs. */
  OVERLOADED = 9,
  /** A quorum has no disk space; only what frees or keeps alive is admitted. */
  NO_SPACE = 10,
  /** This server is stopping, or quarantined; use another. */ SHUTTING_DOWN = 11,
  /** A newer poll of the same session took this poll's place. */
  SUPERSEDED = 12,
  /** The fate of a command without a session was lost; it may or may not have been applied. */
  OUTCOME_UNKNOWN = 13,
  /** This sequence was acknowledged by the client, its result is gone; it was not applied again. */
  RESULT_FORGOTTEN = 14,
  /** The session has ended; its locks and places are gone. */
  SESSION_EXPIRED = 15,
  /** The secret is not this session's. */ SESSION_UNKNOWN = 16,
  /** The named holder does not hold the lock. */ NOT_HELD = 17,
  /** A newer token has been granted. */ STALE_TOKEN = 18,
  /** The key, or its parent, does not exist. */
  NO_KEY = 19,
  /** The key exists already. */
  KEY_EXISTS = 20,
  /** The key has another version than expected. */
  BAD_VERSION = 21,
  /** The key has children. */
  NOT_EMPTY = 22,
  /** Stored data failed its checksum. */ CORRUPT = 23,
  /** A bug in Holdfast; the message helps to report it. */
  INTERNAL = 24,
}

/** What is known of the fate of a refused command. */
enum Applied {
  /** Never sent. */ UNSPECIFIED = 0,
  /** This copy of the command has changed nothing and never will. */
  NO = 1,
  /** It may or may not be applied. Within a session: send the same sequence again to learn. */
  UNKNOWN = 2,
}

/** How current a read must be. */
enum Consistency {
  /** Same as LINEARIZABLE. */ UNSPECIFIED = 0,
  /** Sees every write acknowledged before the read was sent. */
  LINEARIZABLE = 1,
  /** Answered from this server's own state, which may lag; minRevision still holds. */
  LOCAL = 2,
}

/** An inclusive range of sequence numbers. */
struct SequenceRange {
  /** First sequence of the range. */ 1: i64 first,
  /** Last sequence of the range. */ 2: i64 last,
}

/** Proof of who calls; reserved until permissions exist, ignored now. */
struct Credentials {
  /** Name of the caller. */ 1: string principal,
  /** What proves it. */ 2: binary proof,
}

/** Stands first in every call. */
struct RequestContext {
  /** The session this call belongs to; 0 or absent for reads and commands without a session. */
  1: i64 sessionId,
  /** The session's 16-byte secret, as given to openSession. */ 2: binary sessionSecret,
  /**
   * The command's number within its session, from 1 on; needed by every call that changes state
   * within a session. Sent again with the same content it yields the same outcome, applied once.
   * At most 1,024 may be unacknowledged; they may arrive in any order. Commands do not renew the
   * session: only openSession, poll and keepAlive do. Without a session it is BAD_ARGUMENT.
   */
  3: i64 sequence,
  /** Sequences whose results this client has: they are dropped, but of acquires that wait. */
  4: list<SequenceRange> acknowledged,
  /** The answering server must have applied at least this revision; 0 asks for nothing. */
  5: i64 minRevision,
  /** How long the caller will wait, from arrival; absent = 5,000; counts as 600,000 at most. */
  6: i64 deadlineMs,
  /** Free text that the server's log shows beside an operator's call; at most 128 bytes. */
  7: string trace,
  /** Reserved until permissions exist. */ 8: Credentials credentials,
}

/** Stands in every result and every error. */
struct ResponseHeader {
  /** The revision the answering server had applied; of a command at least its own entry's. */
  1: i64 revision,
  /** The request's own sequence, 0 if it had none. */ 2: i64 sequence,
  /** Node id of the leader, 0 if none is known. */ 3: i32 leaderId,
  /** The leader's client address, host:port; empty if none is known. */ 4: string leaderAddress,
  /** The answering server's Raft term. */ 5: i64 term,
  /** Random identity of the cluster; another one than before means that it was restored. */
  6: i64 clusterId,
  /** Node id of the answering server. */ 7: i32 serverId,
}

/** The one exception of every call. */
exception HoldfastError {
  /** What went wrong, for programs. */ 1: ErrorCode code,
  /** The code's name, for clients generated from an older IDL. */ 2: string codeName,
  /** One sentence for a person, with the offending value and the limit. */ 3: string message,
  /** Whether the command may have been applied. */ 4: Applied applied,
  /** The same call may succeed later or on another server. */ 5: bool retryable,
  /** When retryable: wait this long first; 0 = at once. */ 6: i64 retryAfterMs,
  /** As in every result. */ 7: ResponseHeader header,
} (message = "message", python.immutable = "false")

/** A server of the cluster as clients dial it. */
struct ServerAddress {
  /** The server's node id. */ 1: i32 nodeId,
  /** Its client address, host:port. */ 2: string address,
}

// ---------------------------------------------------------------------------------- sessions

/** Opens a session, or renews the one already opened with this secret. */
struct OpenSessionRequest {
  /** How long the session outlives its last renewal, 4,000 (flag --session_ttl_min_ms) to
   *  86,400,000. */
  1: i64 ttlMs,
  /** For people: "billing-7@host"; at most 256 bytes of UTF-8. */ 2: string name,
  /** For people: pid, version, ...; at most 4,096 bytes in all. */
  3: map<string, string> attributes,
  /** 16 random bytes made by the client; the call is idempotent by it. Only a hash is kept. */
  4: binary secret,
}

/** A lock that will be taken away: stop using it and release it. */
struct RevocationNotice {
  /** The notice's id (revision of the announcing entry), to be acknowledged in poll. */
  1: i64 noticeId,
  /** The lock's path; empty = the whole session ends, with all its locks. */ 2: string path,
  /** Which holder loses it; 0 = all of the session. */ 3: i64 holderId,
  /** The lock is given away this long after the notice was acknowledged, or a TTL after the
   *  announcement if that is earlier. Drift is already subtracted, as from leaseMs. */
  4: i64 noticeMs,
  /** The operator's words; empty once acknowledged, and beyond 1 MiB in all. */ 5: string reason,
}

/** The answer to openSession. */
struct OpenSessionResult {
  /** As in every result. */ 1: ResponseHeader header,
  /** The session's id: the revision that opened it. */ 2: i64 sessionId,
  /** The TTL in force; never a deadline. */ 3: i64 ttlMs,
  /** The client may rely on its locks for this long after it SENT this request; drift is already
   *  subtracted. 0: not renewed. */
  4: i64 leaseMs,
  /** Every server of the cluster. */ 5: list<ServerAddress> servers,
  /** Revocations in force against locks of this session: leaseMs does not extend those handles. */
  6: list<RevocationNotice> revocations,
}

/** The long poll: renews on arrival, then waits for something to tell. */
struct PollRequest {
  /** The `delivery` of the last reply of this server that the client has dealt with; 0 at first. */
  1: i64 acknowledgedDelivery,
  /** Park at most this long; capped at min(TTL/4, 60,000). */ 2: i64 maxWaitMs,
  /** Answer at once, renewed. */ 3: bool renewNow,
  /** Ids of revocation notices that the client has taken note of. */
  4: list<i64> acknowledgedNotices,
  /** Which poll of the session this is: one more each time, on whatever server and connection. A
   *  server that has seen a newer one answers SUPERSEDED, and takes back nothing that it has told.
   *  0 or absent = in the order of arrival: then all polls to a server go by one connection. */
  5: i64 pollNumber,
}

/** A queued acquire was granted. A hint: repeat the acquire with its sequence to be sure. */
struct GrantNotice {
  /** Sequence of the acquire or acquireAll. */ 1: i64 acquireSequence,
  /** The lock's path; of an acquireAll its first. */ 2: string path,
  /** The holder id to name in release. */ 3: i64 holderId,
  /** The fencing token. */ 4: i64 token,
}

/** Why a tenure of a lock ended. */
enum EndReason {
  /** Never sent. */ UNSPECIFIED = 0,
  /** The holder released it. */ RELEASED = 1,
  /** The holder's session was closed by its client. */
  SESSION_CLOSED = 2,
  /** The holder's session was not renewed in time. */
  SESSION_EXPIRED = 3,
  /** An operator revoked the lock. */ REVOKED = 4,
  /** The holder handed it to a chosen waiter. */ HANDED_OVER = 5,
  /** An operator ended the holder's session. */ SESSION_REVOKED = 6,
  /** The cluster was restored from a backup. */ RESTORED = 7,
}

/** A lock of this session was lost without its own doing. */
struct LossNotice {
  /** The lock's path. */ 1: string path,
  /** The holder that lost it. */ 2: i64 holderId,
  /** Its fencing token, now stale. */ 3: i64 token,
  /** Why. */ 4: EndReason reason,
}

/** The answer to poll. */
struct PollResult {
  /** As in every result. */ 1: ResponseHeader header,
  /** Counts from when the client SENT this poll; 0: not renewed. Drift is already subtracted. */
  2: i64 leaseMs,
  /** Number of this reply on this server, to be acknowledged by the next poll. */ 3: i64 delivery,
  /** Queued acquires that were granted. */ 4: list<GrantNotice> grants,
  /** Revocations in force against locks of this session. */ 5: list<RevocationNotice> revocations,
  /** Locks of this session that were taken away. */ 6: list<LossNotice> losses,
  /** More is waiting: poll again at once. */ 7: bool more,
  /** What the session's watches on this server have to tell, in order of revision. */
  8: list<watch.WatchDelivery> watches,
  /** All that the watches up to `progressWatchId` see up to this revision has been told with this
   *  reply: pass it as sinceRevision to go on elsewhere. 0 = nothing is said. */
  9: i64 progressRevision,
  /** The newest of the watches that progressRevision speaks of. */ 10: i64 progressWatchId,
  /** Random number of the answering server's process. A watch whose WatchResult had another one is
   *  not there: register it again. */
  11: i64 serverEpoch,
}

/** Renews the lease and does nothing else. */
struct KeepAliveRequest {
}

/** The answer to keepAlive. */
struct KeepAliveResult {
  /** As in every result. */ 1: ResponseHeader header,
  /** Counts from when the client SENT this request; drift is already subtracted. */ 2: i64 leaseMs,
  /** Revocations in force against locks of this session. */ 3: list<RevocationNotice> revocations,
}

/** Ends the session; its locks and places go in the same entry. */
struct CloseSessionRequest {
}

/** The answer to closeSession. */
struct CloseSessionResult {
  /** As in every result. */ 1: ResponseHeader header,
}

// ------------------------------------------------------------------------------------- locks

/** How a lock is shared. */
enum LockMode {
  /** Same as EXCLUSIVE. */ UNSPECIFIED = 0,
  /** One holder. */ EXCLUSIVE = 1,
  /** Any number of shared holders, no exclusive one. */
  SHARED = 2,
  /** Holders whose permits sum up to the limit at most. */
  SEMAPHORE = 3,
}

/** What became of an acquire. */
enum AcquireStatus {
  /** Never sent. */ UNSPECIFIED = 0,
  /** Held: holderId and token are set. */ GRANTED = 1,
  /** In the queue at `position`; repeat the call with the same sequence, or wait for poll. */
  WAITING = 2,
  /** Not granted and no longer in the queue: see `reason`. */
  NOT_GRANTED = 3,
  /** It was granted and has ended since: see `token` and `endReason`. */
  NOT_HELD = 4,
}

/** Why an acquire was not granted. */
enum RefusalReason {
  /** It was granted or still waits. */ UNSPECIFIED = 0,
  /** waitMs was 0 and the lock is held, queued for or closed. */
  BUSY = 1,
  /** waitMs passed. */ TIMED_OUT = 2,
  /** cancelAcquire removed it. */ CANCELLED = 3,
  /** The queue has maxQueue waiters already. */ QUEUE_FULL = 4,
}

/** Asks for a lock. */
struct AcquireRequest {
  /** Absolute path, e.g. "/jobs/nightly": UTF-8, at most 1,024 bytes and 64 levels. */
  1: string path,
  /** How to share it; absent = EXCLUSIVE. */ 2: LockMode mode,
  /** SEMAPHORE: permits wanted, absent = 1. */ 3: i32 permits,
  /** SEMAPHORE: permits of the lock; must equal that in force while it is held or queued for. */
  4: i32 limit,
  /** 0 tries, above 0 waits that long in cluster time, -1 waits as long as the session lives. It
   *  counts as content: a repeated call gives the same number, not what is left of it. It is the
   *  place in the queue that waits so long. The call is held for min(TTL/4, 60 s) at most, and no
   *  longer than deadlineMs if that is given; then it answers WAITING: repeat it, or poll. */
  5: i64 waitMs,
  /** Published with the holder, e.g. an address; at most 4,096 bytes. */ 6: binary value,
  /** How long the lock stays closed if this holder's session expires; 0 to 600,000. */
  7: i64 lockDelayMs,
  /** Refuse rather than be a waiter beyond this number; 0 = only the cluster's own limit. */
  8: i32 maxQueue,
  /** Names a handle: two handles of one session exclude each other like two sessions. At most 64
   *  bytes. */
  9: string owner,
  /** Answer WAITING at once instead of holding the call; the grant comes by poll. */
  10: bool enqueue,
}

/** A present holder of a lock. */
struct LockHolder {
  /** Names this holder in release and guards: revision of the acquire's entry. */ 1: i64 holderId,
  /** Its fencing token: revision of the grant. */ 2: i64 token,
  /** The holder's session. */ 3: i64 sessionId,
  /** The session's name. */ 4: string sessionName,
  /** The handle's name within the session. */ 5: string owner,
  /** EXCLUSIVE, SHARED or SEMAPHORE. */ 6: LockMode mode,
  /** Permits held (SEMAPHORE). */ 7: i32 permits,
  /** The published value. */ 8: binary value,
  /** When it was granted, leader's wall clock. */ 9: i64 sinceUnixMs,
  /** How long the servers will keep the session without a further renewal; -1 = not known. Only the
   *  leader knows: another server asks it, for half a second at most, unless the read is LOCAL. A
   *  hint for operators; always -1 in an AcquireResult. */
  10: i64 leaseLeftMs,
  /** A revocation is announced against this holder. */ 11: bool revoking,
}

/** The answer to acquire and acquireAll. */
struct AcquireResult {
  /** As in every result. */ 1: ResponseHeader header,
  /** What became of it. */ 2: AcquireStatus status,
  /** NOT_GRANTED: why. */ 3: RefusalReason reason,
  /** Revision of the acquire's own entry: names the holder, or the place while it waits. */
  4: i64 holderId,
  /** GRANTED and NOT_HELD: the fencing token. */ 5: i64 token,
  /** WAITING: number of waiters before this one, plus one. */ 6: i32 position,
  /** WAITING and NOT_GRANTED: who holds the lock, at most 16. */ 7: list<LockHolder> holders,
  /** NOT_HELD: why the tenure ended. */ 8: EndReason endReason,
}

/** Takes an acquire back. */
struct CancelAcquireRequest {
  /** The lock's path; of an acquireAll any of its paths. */ 1: string path,
  /** The sequence of the acquire to cancel. */ 2: i64 acquireSequence,
}

/** The answer to cancelAcquire: GRANTED if the grant came first (the lock is still held), else
 *  NOT_GRANTED(CANCELLED) or the acquire's own final result. */
struct CancelAcquireResult {
  /** As in every result. */ 1: ResponseHeader header,
  /** What the acquire's outcome now is. */ 2: AcquireStatus status,
  /** NOT_GRANTED: why. */ 3: RefusalReason reason,
  /** GRANTED: names the holder. */ 4: i64 holderId,
  /** GRANTED: the fencing token. */ 5: i64 token,
}

/** One lock of an acquireAll. */
struct LockWanted {
  /** The lock's path. */ 1: string path,
  /** How to share it; absent = EXCLUSIVE. */ 2: LockMode mode,
  /** SEMAPHORE: permits wanted, absent = 1. */ 3: i32 permits,
  /** SEMAPHORE: permits of the lock. */ 4: i32 limit,
}

/** Asks for up to 64 locks, all or none, from one entry on. */
struct AcquireAllRequest {
  /** The locks, each path once. */ 1: list<LockWanted> locks,
  /** As in acquire. */ 2: i64 waitMs,
  /** As in acquire; published with each of the locks. */ 3: binary value,
  /** As in acquire. */ 4: i64 lockDelayMs,
  /** As in acquire, of each lock. */ 5: i32 maxQueue,
  /** As in acquire. */ 6: string owner,
  /** As in acquire. */ 7: bool enqueue,
}

/** What became of a release. */
enum ReleaseStatus {
  /** Never sent. */ UNSPECIFIED = 0,
  /** The holder gave the lock back in this command. */
  RELEASED = 1,
  /** This holder did not hold the lock; nothing changed. */
  NOT_HELD = 2,
  /** The lock went to the waiter named by `to`. */ HANDED_OVER = 3,
  /** The waiter named by `to` no longer waits: the lock is kept. */
  TARGET_GONE = 4,
  /** The waiter named by `to` waits, but could not hold the lock even then (other shared holders,
   *  too few permits, a lock-delay, an acquireAll): the lock is kept. */
  TARGET_BLOCKED = 5,
}

/** Gives a lock back. */
struct ReleaseRequest {
  /** The lock's path. */ 1: string path,
  /** Which holder: AcquireResult.holderId. */ 2: i64 holderId,
  /** Hand over to the waiter with this holderId (see describeLock) past all others; 0 = to nobody
   *  in particular. */
  3: i64 to,
}

/** The answer to release. */
struct ReleaseResult {
  /** As in every result. */ 1: ResponseHeader header,
  /** What became of it. */ 2: ReleaseStatus status,
}

/** Gives back all locks of one acquireAll in one entry. */
struct ReleaseAllRequest {
  /** The holder id that the acquireAll answered. */ 1: i64 holderId,
}

/** Replaces the value a holder publishes. */
struct SetHolderValueRequest {
  /** The lock's path. */ 1: string path,
  /** Which holder. */ 2: i64 holderId,
  /** The new value, at most 4,096 bytes. */ 3: binary value,
}

/** The answer to setHolderValue; NOT_HELD is an error. */
struct SetHolderValueResult {
  /** As in every result. */ 1: ResponseHeader header,
}

/** Is this fencing token that of a present holder? */
struct CheckTokenRequest {
  /** The lock's path. */ 1: string path,
  /** The token a resource was shown. */ 2: i64 token,
  /** How current the answer must be; absent = LINEARIZABLE. */ 3: Consistency consistency,
}

/** The answer to checkToken. */
struct CheckTokenResult {
  /** As in every result. */ 1: ResponseHeader header,
  /** A present holder has this token. */ 2: bool current,
  /** The largest token of the present holders, 0 if there are none. */ 3: i64 latestToken,
}

/** A place in a lock's queue. */
struct LockWaiter {
  /** The holder id it will have; names it in release(to). */ 1: i64 holderId,
  /** 1 is next. */ 2: i32 position,
  /** The waiter's session. */ 3: i64 sessionId,
  /** The session's name. */ 4: string sessionName,
  /** The handle's name within the session. */ 5: string owner,
  /** EXCLUSIVE, SHARED or SEMAPHORE. */ 6: LockMode mode,
  /** Permits wanted (SEMAPHORE). */ 7: i32 permits,
  /** When it was queued, leader's wall clock. */ 8: i64 sinceUnixMs,
  /** Cluster time left until the wait ends; -1 = none. */ 9: i64 waitLeftMs,
  /** The place belongs to an acquireAll over this many locks; 1 for a plain acquire. */
  10: i32 locksWanted,
  /** As in LockHolder. */ 11: i64 leaseLeftMs,
}

/** A past holder. */
struct Tenure {
  /** Who it was. */ 1: i64 holderId,
  /** Its fencing token. */ 2: i64 token,
  /** Its session. */ 3: i64 sessionId,
  /** The session's name. */ 4: string sessionName,
  /** The handle's name within the session. */ 5: string owner,
  /** When it was granted, leader's wall clock. */ 6: i64 sinceUnixMs,
  /** When it ended, leader's wall clock. */ 7: i64 endedUnixMs,
  /** Revision of the entry that ended it. */ 8: i64 endRevision,
  /** Why it ended. */ 9: EndReason reason,
  /** The operator's words, if it was revoked or ended under notice. */ 10: string note,
}

/** Everything about one lock. */
struct LockInfo {
  /** The lock's path. */ 1: string path,
  /** SEMAPHORE: the limit in force, else 0. */ 2: i32 limit,
  /** Present holders, oldest first; at most 1,000 and 5 MiB. */ 3: list<LockHolder> holders,
  /** The queue in order; at most 1,000. */ 4: list<LockWaiter> waiters,
  /** Waiters in all. */ 5: i32 waiterCount,
  /** Recent tenures of this lock, latest first; at most 16. */ 6: list<Tenure> tenures,
  /** How long a lock-delay, or a restore, still closes the lock; 0 = open. */ 7: i64 closedForMs,
  /** Holders in all. */ 8: i32 holderCount,
  /** It is a restore that does; no lock is granted before. */ 9: bool restoreHold,
}

/** Asks for everything about one lock. */
struct DescribeLockRequest {
  /** The lock's path. */ 1: string path,
  /** How current the answer must be; absent = LINEARIZABLE. */ 2: Consistency consistency,
}

/** The answer to describeLock. A lock nobody holds or waits for has empty lists. */
struct DescribeLockResult {
  /** As in every result. */ 1: ResponseHeader header,
  /** The lock. */ 2: LockInfo lock,
}

/** Lists locks that are held, queued for or closed, sorted by path. A page ends early at 1 MiB. */
struct ListLocksRequest {
  /** Only paths that begin with this text, such as "/jobs/"; empty = all. */ 1: string prefix,
  /** Continue after this path (nextPage of the last answer); empty = from the first. */
  2: string page,
  /** Locks per page, 1 to 1,000; absent = 100. */ 3: i32 pageSize,
  /** How current the answer must be; absent = LINEARIZABLE. */ 4: Consistency consistency,
}

/** A lock in a list. */
struct LockSummary {
  /** The lock's path. */ 1: string path,
  /** Its first holders, at most 16. */ 2: list<LockHolder> holders,
  /** Holders in all. */ 3: i32 holderCount,
  /** Waiters in all. */ 4: i32 waiterCount,
}

/** A page of locks. */
struct ListLocksResult {
  /** As in every result. */ 1: ResponseHeader header,
  /** Sorted by path. */ 2: list<LockSummary> locks,
  /** Pass as `page` to go on; empty = this was the last. */ 3: string nextPage,
}

/** Takes a lock away from a holder. */
struct RevokeLockRequest {
  /** The lock's path. */ 1: string path,
  /** Which holder; 0 = every present holder. */ 2: i64 holderId,
  /** How long the holder has after it acknowledged the notice; 0 to 3,600,000. A holder that does
   *  not answer loses the lock one TTL after the announcement. */
  3: i64 noticeMs,
  /** For people: told to the holder and kept in the tenure; at most 256 bytes. */ 4: string reason,
  /** Take it at once. The old holder may still believe it holds: only tokens protect. */
  5: bool force,
}

/** The answer to revokeLock. */
struct RevokeLockResult {
  /** As in every result. */ 1: ResponseHeader header,
  /** The notice's id; 0 if nobody held the lock. */ 2: i64 noticeId,
  /** How many holders are concerned. */ 3: i32 holders,
}

/** Sessions and locks, for every client. */
service Holdfast {
  /** Opens a session, or renews the one opened with this secret. Not within a session: the
   *  context's session fields are ignored. */
  OpenSessionResult openSession(1: RequestContext context, 2: OpenSessionRequest request)
      throws (1: HoldfastError error),
  /** The long poll: renews the session on arrival and returns when there is something to tell. */
  PollResult poll(1: RequestContext context, 2: PollRequest request)
      throws (1: HoldfastError error),
  /** Renews the session. */
  KeepAliveResult keepAlive(1: RequestContext context, 2: KeepAliveRequest request)
      throws (1: HoldfastError error),
  /** Ends the session at once. */
  CloseSessionResult closeSession(1: RequestContext context, 2: CloseSessionRequest request)
      throws (1: HoldfastError error),
  /** Asks for a lock; waits in its queue if asked to. */
  AcquireResult acquire(1: RequestContext context, 2: AcquireRequest request)
      throws (1: HoldfastError error),
  /** Takes an acquire or acquireAll back. */
  CancelAcquireResult cancelAcquire(1: RequestContext context, 2: CancelAcquireRequest request)
      throws (1: HoldfastError error),
  /** Asks for several locks, all or none. */
  AcquireResult acquireAll(1: RequestContext context, 2: AcquireAllRequest request)
      throws (1: HoldfastError error),
  /** Gives a lock back, or hands it over. */
  ReleaseResult release(1: RequestContext context, 2: ReleaseRequest request)
      throws (1: HoldfastError error),
  /** Gives back all locks of an acquireAll at once. */
  ReleaseResult releaseAll(1: RequestContext context, 2: ReleaseAllRequest request)
      throws (1: HoldfastError error),
  /** Replaces the value a holder publishes. */
  SetHolderValueResult setHolderValue(1: RequestContext context, 2: SetHolderValueRequest request)
      throws (1: HoldfastError error),
  /** For resources: is this token still the current one? */
  CheckTokenResult checkToken(1: RequestContext context, 2: CheckTokenRequest request)
      throws (1: HoldfastError error),
  /** Explains one lock. */
  DescribeLockResult describeLock(1: RequestContext context, 2: DescribeLockRequest request)
      throws (1: HoldfastError error),
  /** Lists locks. */
  ListLocksResult listLocks(1: RequestContext context, 2: ListLocksRequest request)
      throws (1: HoldfastError error),
  /** For operators: takes a lock away, with notice. */
  RevokeLockResult revokeLock(1: RequestContext context, 2: RevokeLockRequest request)
      throws (1: HoldfastError error),
}
