// Judges histories: what clients asked, when, and what they were answered. A history is good if one
// order of all operations explains every answer to a small sequential model of sessions, locks and
// keys, and that order agrees with real time and with the revisions that the replies carry
// (PROMISES 1, 3, 4, 7, 8 and 9).
//
//   History history;
//   history.record({.client = "c1", .call = Call::kAcquire, ...});    // one per call on the wire
//   const Verdict verdict = check(history);
//   if (!verdict.good()) fail(verdict.explanation);
//
// Record every attempt of a command: a retry is an operation of its own with the same session and
// sequence. What was sent and never answered is recorded too, without `returned`; left out, it may
// explain what the checker then calls impossible. Enumerators have the numbers of the client IDL.
//
// The model has no clock: a session may end at any revision that its own answers leave open, a
// bounded wait likewise; a TTL and a lock-delay not before most of it has passed in true time.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/history/key_calls.h"

namespace holdfast::history {

enum class Call {
  kOpenSession,
  kRenew,  ///< keepAlive or poll
  kCloseSession,
  kAcquire,
  kCancelAcquire,
  kRelease,
  kSetHolderValue,
  kRevokeLock,
  kCheckToken,
  kDescribeLock,
  kListLocks,
  kGet,
  kGetMany,
  kListKeys,
  kPut,
  kCreate,
  kRemove,
  kTransact,
  kAcquireAll,
  kReleaseAll,
  kGuard,  ///< what a write of keys says of a lock; not recorded
};

enum class Mode { kExclusive = 1, kShared = 2, kSemaphore = 3 };
enum class Status { kNone = 0, kGranted = 1, kWaiting = 2, kNotGranted = 3, kNotHeld = 4 };
enum class Reason { kNone = 0, kBusy = 1, kTimedOut = 2, kCancelled = 3, kQueueFull = 4 };
enum class EndReason {
  kNone = 0,
  kReleased = 1,
  kSessionClosed = 2,
  kSessionExpired = 3,
  kRevoked = 4,
  kHandedOver = 5,
  kSessionRevoked = 6,
  kRestored = 7,
};
enum class ReleaseStatus {
  kNone = 0,
  kReleased = 1,
  kNotHeld = 2,
  kHandedOver = 3,
  kTargetGone = 4,
  kTargetBlocked = 5,
};

/// A lock of an acquireAll.
struct Wanted {
  std::string path;
  Mode mode = Mode::kExclusive;
  uint32_t permits = 1;
  uint32_t limit = 0;
};

/// What was asked. Fields that a call does not have stay at their defaults.
struct Arguments {
  uint64_t session = 0;   ///< the caller's; of openSession none
  uint64_t sequence = 0;  ///< of commands; 0 only for a revokeLock without a session
  std::string secret;     ///< openSession: whatever names the secret; equal means one session
  std::string path;       ///< of listLocks the prefix
  std::string page;       ///< listLocks
  Mode mode = Mode::kExclusive;
  uint32_t permits = 1;  ///< a semaphore's
  uint32_t limit = 0;    ///< a semaphore's
  int64_t wait_ms = 0;
  int64_t max_queue = 0;
  int64_t lock_delay_ms = 0;
  std::string value;
  std::string owner;              ///< acquire
  uint64_t acquire_sequence = 0;  ///< cancelAcquire
  uint64_t holder_id = 0;         ///< release, setHolderValue; revokeLock: 0 = all
  uint64_t to = 0;                ///< release: hand over to this waiter
  uint64_t token = 0;             ///< checkToken
  bool local = false;             ///< a read that may lag
  uint64_t min_revision = 0;      ///< a read: the state must be no older
  bool force = false;             ///< revokeLock
  std::vector<Wanted> locks;      ///< acquireAll
  bool together = false;          ///< of one lock what was asked of several; not recorded
  std::vector<KeyCompare> compares;
  std::vector<KeyWrite> writes;     ///< of put, create and remove the one
  std::vector<KeyWrite> otherwise;  ///< transact
  std::vector<std::string> paths;   ///< getMany
  bool subtree = false;             ///< listKeys
  bool stat_only = false;           ///< reads of keys: without values
};

/// A holder, waiter or ended tenure as describeLock shows it.
struct Seen {
  uint64_t holder_id = 0;
  uint64_t session = 0;
  uint64_t token = 0;  ///< 0 of a waiter
  std::string value;   ///< of a holder
  uint64_t end_revision = 0;
  EndReason end_reason = EndReason::kNone;
  std::string owner;  ///< empty: not recorded
};

/// A lock as listLocks shows it.
struct Listed {
  std::string path;
  std::vector<Seen> holders;  ///< the first
  uint64_t holder_count = 0;
  uint64_t waiter_count = 0;
};

/// What was answered. `known` is false if no answer came, or one that says applied UNKNOWN.
struct Answer {
  bool known = false;
  std::string error;  ///< the code's name; empty: a result
  Status status = Status::kNone;
  Reason reason = Reason::kNone;
  EndReason end_reason = EndReason::kNone;
  ReleaseStatus release = ReleaseStatus::kNone;
  uint64_t session = 0;  ///< openSession
  uint64_t holder_id = 0;
  uint64_t token = 0;  ///< of checkToken the latest
  uint32_t position = 0;
  int64_t lease_ms = 0;
  bool current = false;  ///< checkToken
  bool closed = false;   ///< describeLock: a lock-delay goes on
  std::vector<Seen> holders, waiters, tenures;
  std::vector<Listed> locks;    ///< listLocks
  std::string next_page;        ///< listLocks, listKeys
  uint64_t write_revision = 0;  ///< writes of keys: that of the write
  bool succeeded = true;        ///< transact
  std::vector<KeyResult> results;
  std::vector<SeenKey> keys;  ///< reads of keys: those that there are, in the order asked for
};

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

/// One call on the wire. Times are nanoseconds on one clock that all clients share.
struct Operation {
  std::string client;
  std::string process;
  Call call = Call::kRenew;
  Arguments arguments;
  int64_t invoked = 0;
  int64_t returned = kNever;
  Answer answer;
  uint64_t revision = 0;  ///< the reply's header.revision; 0 if there was no reply
  size_t line = 0;        ///< where it was read from; record() numbers what has none
};

/// What the log of a simulated cluster says of keys, for the search to follow where no client was
/// told: it tries no other order, so that it has little to try. The model believes none of it: what
/// it does not allow is broken.
struct Course {
  struct Write {
    uint64_t revision = 0;  ///< of its entry; zero: one of `shared`, or none
    /// Of which of some calls alike these entries are the log does not say.
    std::vector<uint64_t> shared;
    bool otherwise = false;  ///< transact: its conditions did not hold
    std::vector<std::string> created;
  };
  struct KeyEnd {
    std::string path;
    uint64_t revision = 0;
    int64_t moment = 0;  ///< when the entry had been committed
  };
  std::map<size_t, Write> writes;  ///< by line, of calls that wrote; others did nothing
  std::map<uint64_t, uint64_t> session_ends;
  std::vector<KeyEnd> key_ends;  ///< of those that ended by themselves, in order
};

class History {
 public:
  /// Takes an operation, in any order. What is wrong with its form, or nothing.
  std::optional<std::string> record(Operation operation);
  const std::vector<Operation>& operations() const { return operations_; }

  /// Once all operations are recorded.
  void follow(Course course) { course_ = std::move(course); }
  const Course* course() const { return course_ ? &*course_ : nullptr; }

 private:
  std::vector<Operation> operations_;
  std::optional<Course> course_;
};

struct Verdict {
  enum class Kind {
    kGood,
    kBroken,     ///< no order explains the history
    kUndecided,  ///< the budget ran out: a failure too
    kEmpty,      ///< nothing to check: a failure too
  };
  Kind kind = Kind::kGood;
  std::string explanation;  ///< what is wrong, with the lines concerned
  size_t locks = 0, key_groups = 0, sessions = 0, commands = 0, reads = 0;
  uint64_t steps = 0;  ///< that the search took

  bool good() const { return kind == Kind::kGood; }
};

/// Steps of the search per lock before it gives up: some 20 s, and 0.6 GB. Of some ten thousand
/// simulated runs the hardest took 2.1 million.
constexpr uint64_t kBudgetDefault = 10'000'000;

/// Pure: depends on the history only.
Verdict check(const History& history, uint64_t budget = kBudgetDefault);

/// "describeLock by c1 (line 7)".
std::string name_of(const Operation& operation);
const char* name_of(Call call);
/// put, create, remove or transact.
bool writes_keys(Call call);

}  // namespace holdfast::history
