// What all clients together believe and were told, judged in true time: nobody is granted, and
// nothing is taken away, while a holder is sure (I22, PROMISES 5); no session expires under an
// acknowledged lease (I16); revisions respect real time (I20).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/simulation/history.h"
#include "tests/simulation/lock_history.h"
#include "tests/simulation/world.h"

namespace holdfast::sim {

/// A client, as far as the ledger asks it.
class Believer {
 public:
  /// It may use what this holder holds, by its own clock and all it was told.
  virtual bool sure(Revision holder_id) const = 0;
  virtual Instant local_now() const = 0;
  virtual bool running() const = 0;
  virtual SessionId session() const = 0;
  virtual int number() const = 0;

 protected:
  ~Believer() = default;
};

class Ledger final : public HistoryListener {
 public:
  explicit Ledger(World& world) : world_(world) {}

  // --- Locks.

  /// From now on the client is sure of these locks.
  void believe(const Believer& who, Revision holder_id, Revision token,
               const std::vector<LockHistory::Claim>& claims);
  void tenure_ended(const rsm::Effect& effect, bool forced) override;
  void session_ended(const rsm::Effect& effect, bool forced) override;
  bool is_dead(SessionId session) const override;

  // --- Leases.

  void opened(const Believer& who, SessionId session) { owners_[session] = &who; }
  /// A server answered a renewal: the client may rely on it until then, on its own clock.
  void promised(SessionId session, Instant until);
  const Believer* owner(SessionId session) const;
  /// The session ended after this moment.
  bool ended_after(SessionId session, Duration moment) const;

  // --- Revisions.

  /// All that begins now must come after this.
  int64_t newest() const { return newest_; }
  void answered(int64_t revision);
  /// A write that began when newest() was `floor` has this revision.
  void check_write(int64_t floor, int64_t revision, const std::string& what) const;
  /// A read, linearizable or not, that had to see `floor`, was answered with this revision.
  void check_read(int64_t floor, int64_t revision, const std::string& what) const;

  uint64_t grants() const { return grants_; }
  uint64_t answers() const { return answers_; }
  uint64_t reads() const { return reads_; }

 private:
  struct Belief {
    const Believer* who = nullptr;
    Revision holder_id;
    Revision token;
    LockHistory::Claim claim;
  };
  static bool excludes(const LockHistory::Claim& a, const LockHistory::Claim& b);
  void check_against(const Belief& fresh, const std::vector<Belief>& others) const;

  World& world_;
  std::map<std::string, std::vector<Belief>> beliefs_;
  std::set<Revision> taken_by_force_;  ///< holder ids
  std::map<SessionId, const Believer*> owners_;
  std::map<SessionId, Instant> promises_;
  std::map<SessionId, Duration> ended_;  ///< when, in true time
  int64_t newest_ = 0;
  uint64_t grants_ = 0;
  uint64_t answers_ = 0;
  mutable uint64_t reads_ = 0;
};

}  // namespace holdfast::sim
