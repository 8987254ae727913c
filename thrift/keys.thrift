/*
 * The client API of Holdfast: keys and watches.
 *
 * Same port, same context, same errors and conventions as holdfast.thrift. HoldfastKeys extends
 * Holdfast: its client has every call of both.
 */
include "holdfast.thrift"
include "watch.thrift"

namespace cpp holdfast.api
namespace py holdfast_api.keys
namespace java io.holdfast.api.keys
namespace go holdfast_keys

/**
 * Makes a write depend on a lock: it is refused with NOT_HELD unless this holder holds the lock
 * when the write is applied. The holder must be one of the request's own session.
 */
struct LockGuard {
  /** The lock's path; empty, without a holder = no guard. */ 1: string path,
  /** Which holder: AcquireResult.holderId. */ 2: i64 holderId,
}

// -------------------------------------------------------------------------------------- reads

/** Asks for a key. */
struct GetRequest {
  /** Its path. */ 1: string path,
  /** How current the answer must be; absent = LINEARIZABLE. */
  2: holdfast.Consistency consistency,
  /** Leave the value out. */ 3: bool statOnly,
}

/** The answer to get. */
struct GetResult {
  /** As in every result; its revision is that at which the key was read. */
  1: holdfast.ResponseHeader header,
  /** There is such a key. */ 2: bool found,
  /** The key, if found. */ 3: watch.KeyEntry key,
}

/** Asks for several keys at one revision. */
struct GetManyRequest {
  /** Their paths, 1 to 1,000. */ 1: list<string> paths,
  /** How current the answer must be; absent = LINEARIZABLE. */
  2: holdfast.Consistency consistency,
  /** Leave the values out. */ 3: bool statOnly,
}

/** One of the keys asked for. */
struct KeyLookup {
  /** There is such a key. */ 1: bool found,
  /** The key; if not found only its path. */ 2: watch.KeyEntry key,
}

/** The answer to getMany. */
struct GetManyResult {
  /** As in every result. */ 1: holdfast.ResponseHeader header,
  /** In the order asked for. Ends early at 1 MiB: ask again for the rest. */
  2: list<KeyLookup> keys,
}

/** Lists keys below a path, in byte order of their path segments, each before its children. */
struct ListKeysRequest {
  /** The path below which to list; "/" = all. It is not listed itself. */ 1: string path,
  /** All below it, not only its children. */ 2: bool subtree,
  /** With their values. */ 3: bool withValues,
  /** Continue after this path (nextPage of the last answer); empty = from the first. */
  4: string page,
  /** Keys per page, 1 to 1,000; absent = 100. A page ends early at 1 MiB. */ 5: i32 pageSize,
  /** How current the answer must be; absent = LINEARIZABLE. */
  6: holdfast.Consistency consistency,
}

/** A page of keys. What was created or removed between two pages is seen or not, by its place. */
struct ListKeysResult {
  /** As in every result; its revision is that of this page. */ 1: holdfast.ResponseHeader header,
  /** The keys. */ 2: list<watch.KeyEntry> keys,
  /** Pass as `page` to go on; empty = this was the last. */ 3: string nextPage,
}

/** Waits until a key is newer than a revision. */
struct WaitForChangeRequest {
  /** The key's path; it need not exist. */ 1: string path,
  /** Answer at once if the key was written or removed after this revision; 0 = answer at once. */
  2: i64 afterRevision,
  /** Wait at most this long, 0 to 60,000, whatever deadlineMs says; then the answer says that
   *  nothing changed. Before that the server must have come to afterRevision itself: for this it
   *  has deadlineMs, else TIMEOUT. */
  3: i64 maxWaitMs,
}

/** The answer to waitForChange. */
struct WaitForChangeResult {
  /** As in every result; pass its revision as afterRevision to wait for the next change. */
  1: holdfast.ResponseHeader header,
  /** The key may be newer. Also true if this server's history does not reach back to
   *  afterRevision, so that it cannot tell. */
  2: bool changed,
  /** There is such a key. */ 3: bool found,
  /** The key, if found. */ 4: watch.KeyEntry key,
}

// ------------------------------------------------------------------------------------- writes

/** Creates or replaces a key. */
struct PutRequest {
  /** Its path. A key that does not exist is created PERSISTENT. */ 1: string path,
  /** Its value, at most 1 MiB (setting value_bytes_max). */ 2: binary value,
  /** 0 or absent = any; -1 = the key must not exist; else the version it must have. */
  3: i64 expectedVersion,
  /** Create missing parents, PERSISTENT. */ 4: bool makeParents,
  /** Only while this lock is held. */ 5: LockGuard guard,
}

/** The answer to put. NO_KEY (no parent), BAD_VERSION and NOT_HELD are errors. */
struct PutResult {
  /** As in every result. */ 1: holdfast.ResponseHeader header,
  /** Revision of the write: the key's modifyRevision. */ 2: i64 revision,
  /** The key's version now; 1 = it was created. */ 3: i64 version,
}

/** Creates a key; KEY_EXISTS if there is one. */
struct CreateRequest {
  /** Its path. With `sequential`, a number is appended to it. */ 1: string path,
  /** Its value. */ 2: binary value,
  /** What it is bound to; absent = PERSISTENT. EPHEMERAL: to the request's session. */
  3: watch.KeyKind kind,
  /** Append the next number of the parent, 20 digits, never given twice. */ 4: bool sequential,
  /** TTL: how long it stays after its last write, 1,000 to 2,592,000,000. */ 5: i64 ttlMs,
  /** Create missing parents, PERSISTENT. */ 6: bool makeParents,
  /** Only while this lock is held. */ 7: LockGuard guard,
}

/** The answer to create. */
struct CreateResult {
  /** As in every result. */ 1: holdfast.ResponseHeader header,
  /** Revision that created the key. */ 2: i64 revision,
  /** Its path, with the number of a sequential one. */ 3: string path,
}

/** Removes a key; NO_KEY if there is none. */
struct RemoveRequest {
  /** Its path. */ 1: string path,
  /** 0 or absent = any; else the version it must have. */ 2: i64 expectedVersion,
  /** With all below it, at most 10,000 keys; else a key with children is NOT_EMPTY. */
  3: bool recursive,
  /** Only while this lock is held. */ 4: LockGuard guard,
}

/** The answer to remove. */
struct RemoveResult {
  /** As in every result. */ 1: holdfast.ResponseHeader header,
  /** Revision that removed the key. */ 2: i64 revision,
  /** How many keys went. */ 3: i64 removed,
}

/** What a condition looks at. */
enum CompareTarget {
  /** Never sent. */ UNSPECIFIED = 0,
  /** Whether the key exists: EQUAL or NOT_EQUAL to `number` 1, or to 0. Nothing else. */
  EXISTS = 1,
  /** The key's version; 0 if there is no such key. */ VERSION = 2,
  /** The key's value; false if there is no such key. */ VALUE = 3,
  /** The key's modifyRevision; 0 if there is no such key. */ MODIFY_REVISION = 4,
  /** Whether holder `number` of the request's session holds the LOCK at `path`; EQUAL only. */
  HOLDS = 5,
  /** The key's createRevision, which tells apart keys that had one path; 0 if there is no key. */
  CREATE_REVISION = 6,
}

/** How a condition compares what is there with what it names. */
enum CompareRelation {
  /** Same as EQUAL. */ UNSPECIFIED = 0,
  /** They are equal. */ EQUAL = 1,
  /** They differ. */ NOT_EQUAL = 2,
  /** What is there is less. */ LESS = 3,
  /** What is there is greater. */ GREATER = 4,
}

/** One condition of a transaction. */
struct Compare {
  /** What it looks at. */ 1: CompareTarget target,
  /** How it compares. */ 2: CompareRelation relation,
  /** The key's path, or the lock's. */ 3: string path,
  /** What to compare with. */ 4: i64 number,
  /** VALUE: what to compare with, bytewise. */ 5: binary value,
}

/** One step of a transaction: exactly one field is set. */
struct Operation {
  /** As the call put. */ 1: optional PutRequest put,
  /** As the call create. */ 2: optional CreateRequest create,
  /** As the call remove. */ 3: optional RemoveRequest remove,
}

/** Does all of one list or the other, in one revision, by conditions. What can never be right, such
 *  as a path that is none, is refused in both; what depends on settings or on what is there, in the
 *  one that is done. */
struct TransactRequest {
  /** All must hold for thenOperations; none at all always hold. */ 1: list<Compare> compares,
  /** Done in order if they hold. */ 2: list<Operation> thenOperations,
  /** Done in order if not. With the compares at most 1,024 in all (transaction_steps_max), and with
   *  all paths and values at most 1,310,720 bytes, like every command: else TOO_LARGE. So it is if
   *  the results of the steps done would take more than 65,536 bytes: 32 each, and the paths of
   *  sequential keys with their numbers. */
  3: list<Operation> otherwiseOperations,
}

/** What one step came to. */
struct OperationResult {
  /** create of a sequential key: its path, with the number; else empty. */ 1: string path,
  /** put and create: the key's version now. */ 2: i64 version,
  /** remove: how many keys went. */ 3: i64 removed,
}

/** The answer to transact. If a step fails nothing is done; the error names the step. */
struct TransactResult {
  /** As in every result. */ 1: holdfast.ResponseHeader header,
  /** Revision of the transaction. */ 2: i64 revision,
  /** The compares held. */ 3: bool succeeded,
  /** Of the steps done, in order. */ 4: list<OperationResult> results,
}

// ------------------------------------------------------------------------------------ watches

/** Begins a watch of the request's session, on the server that answers. */
struct WatchRequest {
  /** The place. It need not exist. */ 1: string path,
  /** What of it; absent = NODE. */ 2: watch.WatchScope scope,
  /** Keys, locks or both; absent = KEYS. */ 3: watch.WatchSpace space,
  /** Tell what happens after this revision; 0 = from now on. A future one is waited for. One that
   *  is older than the history kept brings the present state first: see DeliveryKind. */
  4: i64 sinceRevision,
  /** With the new values of keys. */ 5: bool withValues,
  /** Only these types, of which one at least is of the space; empty = all. While the present state
   *  is shown, all. */
  6: list<watch.EventType> filter,
}

/** The answer to watch. */
struct WatchResult {
  /** As in every result. */ 1: holdfast.ResponseHeader header,
  /** Names the watch in PollResult and unwatch, on this server, for this session. */
  2: i64 watchId,
  /** What happens after this revision is told. */ 3: i64 revision,
  /** As in PollResult: while polls answer the same number, the watch is there. */
  4: i64 serverEpoch,
}

/** Ends a watch; one that is not there is no error. */
struct UnwatchRequest {
  /** Which. */ 1: i64 watchId,
}

/** The answer to unwatch. */
struct UnwatchResult {
  /** As in every result. */ 1: holdfast.ResponseHeader header,
}

/** Everything: sessions and locks by extension, keys and watches here. */
service HoldfastKeys extends holdfast.Holdfast {
  /** Reads a key. */
  GetResult get(1: holdfast.RequestContext context, 2: GetRequest request)
      throws (1: holdfast.HoldfastError error),
  /** Reads several keys. */
  GetManyResult getMany(1: holdfast.RequestContext context, 2: GetManyRequest request)
      throws (1: holdfast.HoldfastError error),
  /** Lists keys. */
  ListKeysResult listKeys(1: holdfast.RequestContext context, 2: ListKeysRequest request)
      throws (1: holdfast.HoldfastError error),
  /** For the simplest client: waits for a key to change. */
  WaitForChangeResult waitForChange(1: holdfast.RequestContext context,
                                    2: WaitForChangeRequest request)
      throws (1: holdfast.HoldfastError error),
  /** Creates or replaces a key. */
  PutResult put(1: holdfast.RequestContext context, 2: PutRequest request)
      throws (1: holdfast.HoldfastError error),
  /** Creates a key. */
  CreateResult create(1: holdfast.RequestContext context, 2: CreateRequest request)
      throws (1: holdfast.HoldfastError error),
  /** Removes a key. */
  RemoveResult remove(1: holdfast.RequestContext context, 2: RemoveRequest request)
      throws (1: holdfast.HoldfastError error),
  /** Conditions and several writes in one revision. */
  TransactResult transact(1: holdfast.RequestContext context, 2: TransactRequest request)
      throws (1: holdfast.HoldfastError error),
  /** Begins a watch; its events come by poll. */
  WatchResult watch(1: holdfast.RequestContext context, 2: WatchRequest request)
      throws (1: holdfast.HoldfastError error),
  /** Ends a watch. */
  UnwatchResult unwatch(1: holdfast.RequestContext context, 2: UnwatchRequest request)
      throws (1: holdfast.HoldfastError error),
}
