/*
 * The replicated commands: what stands in log entries of type kCommand. An entry's payload is a
 * CommandHeader followed by the body struct that its kind names, both in Thrift's compact protocol.
 *
 * Versioned by feature level: any change to a field here, or to what apply does with one, is a new
 * level. A leader proposes none of a level that is not in force, and a node that meets a higher one
 * than it knows stops before applying it (docs/state-machine.md, "Feature levels").
 */
include "holdfast.thrift"
include "watch.thrift"
include "keys.thrift"

namespace cpp holdfast.command
namespace py holdfast_replicated.command
namespace java io.holdfast.replicated.command
namespace go holdfast_command

/** The highest feature level. The commands below are of level 1, or 2 where it is said. Levels 3 to
 *  5 have no command of their own: from 3 on the level in force is recorded in the configuration of
 *  the members, and 4 and 5 change what apply does (docs/state-machine.md). */
const i32 FEATURE_LEVEL = 5

/** Which body follows the header. */
enum CommandKind {
  /** Never written. */
  UNSPECIFIED = 0,
  /** OpenSession. */
  OPEN_SESSION = 1,
  /** CloseSession. */
  CLOSE_SESSION = 2,
  /** MarkLate. */
  MARK_LATE = 3,
  /** RenewLate. */
  RENEW_LATE = 4,
  /** ExpireSessions. */
  EXPIRE_SESSIONS = 5,
  /** RevokeSession. */
  REVOKE_SESSION = 6,
  /** Tick. */
  TICK = 7,
  /** Acquire. */
  ACQUIRE = 8,
  /** AcquireAll. */
  ACQUIRE_ALL = 9,
  /** CancelAcquire. */
  CANCEL_ACQUIRE = 10,
  /** Release. */
  RELEASE = 11,
  /** ReleaseAll. */
  RELEASE_ALL = 12,
  /** SetHolderValue. */
  SET_HOLDER_VALUE = 13,
  /** RevokeLock. */
  REVOKE_LOCK = 14,
  /** AcknowledgeNotices. */
  ACKNOWLEDGE_NOTICES = 15,
  /** ChangeSettings. */
  CHANGE_SETTINGS = 16,
  /** PutKey. */
  PUT_KEY = 17,
  /** CreateKey. */
  CREATE_KEY = 18,
  /** RemoveKey. */
  REMOVE_KEY = 19,
  /** Transact. */
  TRANSACT = 20,
  /** Restore; level 2. */
  RESTORE = 21,
}

/** Stands first in every command. */
struct CommandHeader {
  /** Feature level the command was written at. */
  1: i32 level,
  /** Which body follows. */
  2: CommandKind kind,
  /** Server that took the call from its client: its apply answers it. */
  3: i32 originNode,
  /** That server's number for the call, random base per process. */
  4: i64 originRequest,
  /** Leader's cluster time when it proposed the entry: see docs/architecture.md, "Time". */
  5: i64 clusterTimeMs,
  /** Leader's wall clock when it proposed the entry; informative, never compared. */
  6: i64 wallUnixMs,
  /** MARK_LATE and EXPIRE_SESSIONS: the term in which this was decided; void in any other. */
  7: i64 decidedTerm,
  /** The session whose command this is; 0 = none. */
  8: i64 sessionId,
  /** The command's number in its session; 0 = none, then it is not remembered. */
  9: i64 sequence,
  /** Sequences whose stored results may be dropped. */
  10: list<holdfast.SequenceRange> acknowledged,
}

/** Opens a session, or finds the one with this secret hash. */
struct OpenSession {
  /** SHA-256 of the client's secret. */
  1: binary secretHash,
  /** TTL, judged at the edge and at apply. */
  2: i64 ttlMs,
  /** Name for people. */
  3: string name,
  /** Attributes for people, as one encoded map (SessionAttributes). */
  4: binary attributes,
}

/** What OpenSession.attributes holds, in compact protocol. */
struct SessionAttributes {
  /** By name. */
  1: map<string, string> values,
}

/** Ends the header's session at its client's wish. */
struct CloseSession {
}

/** A session that has been silent. */
struct LateSession {
  /** Which. */
  1: i64 sessionId,
  /** Silence counted so far, the silence under earlier leaders included. */
  2: i64 silentMs,
}

/** Records silence, so that elections in a row cannot keep a dead session alive. Void outside
 *  decidedTerm. */
struct MarkLate {
  /** At most 1,000. */
  1: list<LateSession> sessions,
}

/** Committed renewals of sessions that are marked late. */
struct RenewLate {
  /** At most 1,000. */
  1: list<i64> sessionIds,
}

/** Ends sessions that were not renewed in time. Void outside decidedTerm. */
struct ExpireSessions {
  /** At most 1,000. */
  1: list<i64> sessionIds,
}

/** Ends a session by an operator's wish. */
struct RevokeSession {
  /** Which. */
  1: i64 sessionId,
  /** See ExpireSessionRequest. */
  2: i64 noticeMs,
  /** The operator's words. */
  3: string reason,
  /** At once. */
  4: bool force,
}

/** Does what is due in cluster time. */
struct Tick {
  /** What the leader had applied when it stamped this entry: starts the clocks of revocations
   *  announced up to here. */
  1: i64 appliedRevision,
}

/** One lock wanted. */
struct LockClaim {
  /** Path. */
  1: string path,
  /** holdfast.LockMode, never UNSPECIFIED here. */
  2: holdfast.LockMode mode,
  /** SEMAPHORE: permits wanted, else 0. */
  3: i32 permits,
  /** SEMAPHORE: permits of the lock, else 0. */
  4: i32 limit,
}

/** Asks for one lock. */
struct Acquire {
  /** Which lock, and how. */
  1: LockClaim claim,
  /** 0 tries, above 0 a wait in cluster time, -1 unbounded. */
  2: i64 waitMs,
  /** Published value. */
  3: binary value,
  /** Lock-delay after an expiry. */
  4: i64 lockDelayMs,
  /** 0 = only the cluster's limit. */
  5: i32 maxQueue,
  /** Handle within the session. */
  6: string owner,
}

/** Asks for several locks, all or none. */
struct AcquireAll {
  /** At most 64, each path once. */
  1: list<LockClaim> claims,
  /** As in Acquire. */
  2: i64 waitMs,
  /** As in Acquire. */
  3: binary value,
  /** As in Acquire. */
  4: i64 lockDelayMs,
  /** As in Acquire. */
  5: i32 maxQueue,
  /** As in Acquire. */
  6: string owner,
}

/** Takes an acquire of the same session back. */
struct CancelAcquire {
  /** Path, for the reader of a log. */
  1: string path,
  /** The acquire's sequence. */
  2: i64 acquireSequence,
}

/** Gives a lock back or hands it over. */
struct Release {
  /** Path. */
  1: string path,
  /** Which holder. */
  2: i64 holderId,
  /** Waiter that gets it; 0 = the next in order. */
  3: i64 to,
}

/** Gives back all locks of an acquireAll. */
struct ReleaseAll {
  /** Which holder. */
  1: i64 holderId,
}

/** Replaces a holder's value. */
struct SetHolderValue {
  /** Path. */
  1: string path,
  /** Which holder. */
  2: i64 holderId,
  /** New value. */
  3: binary value,
}

/** Announces a revocation, or revokes at once. */
struct RevokeLock {
  /** Path. */
  1: string path,
  /** Which holder; 0 = all present ones. */
  2: i64 holderId,
  /** See RevokeLockRequest. */
  3: i64 noticeMs,
  /** The operator's words. */
  4: string reason,
  /** At once. */
  5: bool force,
}

/** The header's session has taken note of revocations. */
struct AcknowledgeNotices {
  /** Revisions of the announcing entries. */
  1: list<i64> noticeIds,
}

/** Changes replicated limits, all or none. */
struct ChangeSettings {
  /** By name. */
  1: map<string, i64> changes,
}

/** First entry of a cluster that was made from the state of another: ends all sessions, and no lock
 *  is granted for the longest TTL among them, or for holdMs if that is longer. */
struct Restore {
  /** In cluster time. */
  1: i64 holdMs,
}

/** Only while this holder of the header's session holds this lock. */
struct Guard {
  /** The lock's path; empty = no guard. */
  1: string path,
  /** Which holder. */
  2: i64 holderId,
}

/** Creates or replaces a key. */
struct PutKey {
  /** Path. */
  1: string path,
  /** Value. */
  2: binary value,
  /** 0 = any, -1 = must not exist, else the version it must have. */
  3: i64 expectedVersion,
  /** Creates missing parents. */
  4: bool makeParents,
  /** Lock that must be held. */
  5: Guard guard,
}

/** Creates a key. */
struct CreateKey {
  /** Path, of a sequential one without its number. */
  1: string path,
  /** Value. */
  2: binary value,
  /** watch.KeyKind, never UNSPECIFIED here. */
  3: watch.KeyKind kind,
  /** Appends the parent's next number. */
  4: bool sequential,
  /** TTL, else 0. */
  5: i64 ttlMs,
  /** Creates missing parents. */
  6: bool makeParents,
  /** Lock that must be held. */
  7: Guard guard,
}

/** Removes a key. */
struct RemoveKey {
  /** Path. */
  1: string path,
  /** 0 = any, else the version it must have. */
  2: i64 expectedVersion,
  /** With all below it. */
  3: bool recursive,
  /** Lock that must be held. */
  4: Guard guard,
}

/** One condition. */
struct KeyCompare {
  /** keys.CompareTarget, never UNSPECIFIED here. */
  1: keys.CompareTarget target,
  /** keys.CompareRelation, never UNSPECIFIED here. */
  2: keys.CompareRelation relation,
  /** The key's path, or the lock's. */
  3: string path,
  /** What to compare with. */
  4: i64 number,
  /** What to compare a value with. */
  5: binary value,
}

/** One step: exactly one field is set. */
struct KeyOperation {
  /** As the command. */
  1: optional PutKey put,
  /** As the command. */
  2: optional CreateKey create,
  /** As the command. */
  3: optional RemoveKey remove,
}

/** Conditions and steps, all in one revision or none. */
struct Transact {
  /** All must hold for thenOperations. */
  1: list<KeyCompare> compares,
  /** Done in order if they hold. */
  2: list<KeyOperation> thenOperations,
  /** Done in order if not. */
  3: list<KeyOperation> otherwiseOperations,
}

/** What a transaction came to, as it is kept for a retry. */
struct TransactOutcome {
  /** The compares held. */
  1: bool succeeded,
  /** Of the steps done, in order. */
  2: list<keys.OperationResult> results,
}
