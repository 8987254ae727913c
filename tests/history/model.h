// One lock as the documents describe it, a step at a time: the sequential model that the search
// holds histories against. Shares no code with lockmgr.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/history/timeline.h"

namespace holdfast::history {

/// What may happen next to a lock.
struct Step {
  enum class Kind {
    kCommand,     ///< command `index` is applied
    kAnswer,      ///< answer `answer` of acquire `index` describes what has become of it
    kRead,        ///< read `index` is answered
    kSessionEnd,  ///< session `session` ends, for whatever reason
    kTimeout,     ///< the wait of acquire `index` ends
    kGiveAway,    ///< the revoked holder of acquire `index` loses the lock
    kOpen,        ///< the lock-delay ends
    kSettle,      ///< the open entry has no command for this lock: its grants come
  };
  Kind kind = Kind::kCommand;
  size_t index = 0;
  size_t answer = 0;
  uint64_t session = 0;
  size_t together = 0;  ///< so many acquireAlls get the lock in it, with all their others
};

class LockModel {
 public:
  LockModel(const LockHistory& lock, const std::map<uint64_t, Session>& sessions,
            const Known& known);

  struct Claim {
    size_t command = 0;
    uint64_t token = 0;  ///< while it waits 0
    std::string value;
    bool revoking = false;
  };
  struct State {
    std::vector<Claim> holders;  ///< oldest first
    std::vector<Claim> queue;
    std::vector<uint64_t> ended;  ///< sessions, sorted
    uint64_t last_token = 0;
    /// A lock-delay goes on: the lock may be open from this revision on. 0: it is open.
    uint64_t closed_until = 0;
    /// What came by itself let a waiter in, who gets the lock once the entry's command is done.
    /// Until then the entry is open: a command, more that comes by itself, or kSettle. The value is
    /// the last revision that the entry may have.
    std::optional<uint64_t> open_until;
  };
  /// What has become of a command.
  struct Outcome {
    enum class Kind { kNone, kWaiting, kGranted, kNotGranted, kEnded, kDone };
    Kind kind = Kind::kNone;
    Reason reason = Reason::kNone;
    EndReason end = EndReason::kNone;
  };
  struct Mark {
    State state;
    size_t journal = 0;
    std::pair<uint64_t, uint64_t> outcome_hash;
  };

  /// Takes a step at a revision from `earliest` to `latest` and says which; nothing if the step is
  /// impossible: then the state is spoilt until restore(), and reason() says why. While an entry is
  /// open the step belongs to it, and moves it to the revision returned.
  std::optional<uint64_t> apply(const Step& step, uint64_t earliest, uint64_t latest);
  const std::string& reason() const { return reason_; }
  /// Reasons cost time: they are put into words only when asked for.
  void explain(bool on) { explaining_ = on; }

  Mark mark() const { return {state_, journal_.size(), outcome_hash_}; }
  void restore(const Mark& mark);
  std::pair<uint64_t, uint64_t> hash() const;

  const State& state() const { return state_; }
  const Outcome& outcome(size_t command) const { return outcomes_[command]; }
  bool has_claim(uint64_t session) const;
  /// Acquires of several locks that wait here.
  size_t waiting_together() const;
  /// Holders and queue in words.
  std::string describe() const;

 private:
  const Command& command(size_t index) const { return lock_.commands[index]; }
  const Arguments& asked(size_t index) const { return command(index).first->arguments; }
  std::string name(size_t index) const;
  bool impossible(const std::function<std::string()>& why);

  bool take(const Step& step);
  bool apply_command(size_t index);
  bool acquire(size_t index);
  bool cancel(size_t index);
  bool release(size_t index);
  bool hand_over(size_t index, Claim giver);
  bool set_value(size_t index);
  bool guard(size_t index);
  bool told_holding(size_t index, bool held);
  bool revoke(size_t index);
  bool end_session(uint64_t session);
  bool time_out(size_t index);
  bool give_away(size_t index);
  void close(const Claim& claim);

  bool answer(size_t index, const Operation& told);
  bool read(const Operation& told);
  bool check_token(const Operation& told);
  bool describe_lock(const Operation& told);
  bool list_lock(const Operation& told);
  bool same_holders(const Operation& told);
  bool same_waiters(const Operation& told);
  bool same_tenures(const Operation& told);

  bool fits(const Claim& claim, const std::vector<Claim>& holders) const;
  bool head_fits() const;
  bool head_is_together() const;
  bool settle(size_t together);
  void grant(Claim claim);
  bool end(const Claim& claim, EndReason reason);
  bool told_outcome(size_t index, Status status, Reason reason);
  bool told_release(size_t index, ReleaseStatus status);
  std::vector<Claim>::iterator holder(uint64_t holder_id, uint64_t session);
  void set(size_t command, Outcome outcome);
  bool pin(uint64_t revision, size_t index, const char* what);
  bool stamp(uint64_t revision);
  uint64_t open_from(uint64_t closed) const;

  const LockHistory& lock_;
  const std::map<uint64_t, Session>& sessions_;
  const Known& known_;
  State state_;
  std::vector<Outcome> outcomes_;
  std::vector<std::pair<size_t, Outcome>> journal_;
  std::pair<uint64_t, uint64_t> outcome_hash_{0, 0};
  uint64_t pinned_ = 0;  ///< the revision that the present step must have, 0 if any
  /// The present step closes the lock, for so long; 0: it may be open in that very entry.
  std::optional<int64_t> closes_ms_;
  bool explaining_ = false;
  std::string reason_;
};

/// Mixes a number into a hash (splitmix64's finaliser).
uint64_t mix(uint64_t hash, uint64_t number);

}  // namespace holdfast::history
