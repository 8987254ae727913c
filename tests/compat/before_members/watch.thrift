/*
 * What watchers are told: keys as they are shown, events, and how these come with a poll. The calls
 * are in keys.thrift; the conventions are those of holdfast.thrift.
 */
namespace cpp holdfast.api
namespace py holdfast_api.watch
namespace java io.holdfast.api.watch
namespace go holdfast_watch

/** What a key is bound to. */
enum KeyKind {
  /** Same as PERSISTENT. */ UNSPECIFIED = 0,
  /** Stays until it is removed. */ PERSISTENT = 1,
  /** Goes with the session that created it, in the same entry. Has no children. */
  EPHEMERAL = 2,
  /** Goes when the last of its children has gone; one that never had a child stays. */
  CONTAINER = 3,
  /** Goes when it was not written for its ttlMs, in cluster time, unless it has children. */
  TTL = 4,
}

/** All there is to know of a key but its value. */
struct KeyStat {
  /** What the key is bound to. */ 1: KeyKind kind,
  /** 1 when created, one more with every write. */ 2: i64 version,
  /** Revision that created it. */ 3: i64 createRevision,
  /** Revision of its last write. */ 4: i64 modifyRevision,
  /** How often a child was created or removed. */ 5: i64 childrenVersion,
  /** Revision at which a child was last created or removed; 0 = never. */ 6: i64 childrenRevision,
  /** Children now. */ 7: i64 childCount,
  /** EPHEMERAL: the session that it goes with, else 0. */ 8: i64 ephemeralOwner,
  /** When it was created, leader's wall clock. */ 9: i64 createdUnixMs,
  /** When it was last written, leader's wall clock. */ 10: i64 modifiedUnixMs,
  /** Bytes of its value. */ 11: i64 valueBytes,
  /** TTL: how long it stays after its last write, else 0. */ 12: i64 ttlMs,
}

/** A key. */
struct KeyEntry {
  /** Its path. */ 1: string path,
  /** Its value; empty if the caller did not want values. */ 2: binary value,
  /** The rest. */ 3: KeyStat stat,
}

/** What a watch sees of the place that it names. */
enum WatchScope {
  /** Same as NODE. */ UNSPECIFIED = 0,
  /** The path itself. */ NODE = 1,
  /** The path's children, not the path itself nor what is further below. */
  CHILDREN = 2,
  /** The path and all below it. */
  SUBTREE = 3,
}

/** What a watch sees of the two spaces. */
enum WatchSpace {
  /** Same as KEYS. */ UNSPECIFIED = 0,
  /** Keys. */ KEYS = 1,
  /** Locks. */ LOCKS = 2,
  /** Keys and locks. */ BOTH = 3,
}

/** What happened. */
enum EventType {
  /** Never sent. */ UNSPECIFIED = 0,
  /** The key was created. */ KEY_CREATED = 1,
  /** The key was written. */ KEY_CHANGED = 2,
  /** The key was removed; `removal` says why. */ KEY_REMOVED = 3,
  /** The lock was granted to a holder. */ LOCK_GRANTED = 4,
  /** A holder's tenure of the lock ended; `endReason` of holdfast.thrift says why. */
  LOCK_ENDED = 5,
}

/** Why a key was removed. */
enum RemovalReason {
  /** It was not. */ UNSPECIFIED = 0,
  /** A client removed it. */ REMOVED = 1,
  /** Its session ended. */ SESSION_ENDED = 2,
  /** Its TTL passed. */ TTL_PASSED = 3,
  /** A container whose last child went. */ CONTAINER_EMPTY = 4,
}

/** One committed change as a watcher sees it. Its revision is that of the delivery around it. */
struct WatchEvent {
  /** What happened. */ 1: EventType eventType,
  /** To which key or lock. */ 2: string path,
  /** Keys: the version that it made; of a removal the last one. */ 3: i64 version,
  /** Keys: revision that created the key. */ 4: i64 createRevision,
  /** Keys: the new value, if the watch asked for values and it is no removal. */ 5: binary value,
  /** Keys: the session that an ephemeral key goes with, else 0. */ 6: i64 ephemeralOwner,
  /** KEY_REMOVED: why. */ 7: RemovalReason removal,
  /** Locks: which holder. */ 8: i64 holderId,
  /** Locks: the holder's fencing token. */ 9: i64 token,
  /** Locks: the holder's session. */ 10: i64 sessionId,
  /** LOCK_ENDED: why; numbers of EndReason in holdfast.thrift. */ 11: i32 endReason,
  /** Keys, while a watch is resynchronised: revision of the key's last write. */
  12: i64 modifyRevision,
}

/** What a delivery is. */
enum DeliveryKind {
  /** Same as EVENTS. */ UNSPECIFIED = 0,
  /** Changes of one revision. */ EVENTS = 1,
  /** The watch was behind the history kept: what there is follows anew. Build it beside what this
   *  watch has shown so far. */
  RESYNC_BEGIN = 2,
  /** Keys and locks as they are, as KEY_CREATED and LOCK_GRANTED; between them come EVENTS of what
   *  changes meanwhile. */
  RESYNC_STATE = 3,
  /** What was shown since RESYNC_BEGIN is the state at `revision` and takes the old one's place;
   *  events go on after it. */
  RESYNC_END = 4,
}

/** What one watch has to tell of one revision. */
struct WatchDelivery {
  /** Which watch: WatchResult.watchId. */ 1: i64 watchId,
  /** What this is. */ 2: DeliveryKind kind,
  /** The revision that all of it belongs to. Pass the last whole one as sinceRevision to go on
   *  elsewhere. */
  3: i64 revision,
  /** The changes in the order in which they were made. */ 4: list<WatchEvent> events,
  /** More of this revision follows, in this reply or the next: show none before all are there. */
  5: bool partial,
}
