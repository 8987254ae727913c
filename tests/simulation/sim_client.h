// A model client: keeps a session by polling, takes and releases locks, retries with the same
// sequence until it knows, counts its own deadline on its own clock from when it SENT a renewal,
// and believes to hold a lock exactly as long as the client libraries would (PROMISES 4 and 5).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/simulation/sim_node.h"
#include "tests/simulation/world.h"

namespace holdfast::sim {

/// What all clients together believe and were told, judged as it happens.
class Ledger {
 public:
  /// `client` believes to hold `path` from now on, with this token.
  void granted(World& world, int client, const std::string& path, int64_t token);
  uint64_t grants = 0;
  uint64_t acknowledged = 0;
  int64_t last_revision = 0;  ///< highest revision that any client was answered
  /// Whether another client believes to hold it now: set by the simulation.
  std::function<std::optional<int>(int client, const std::string& path)> other_holder;

 private:
  std::map<std::string, int64_t> last_token_;
};

class SimClient {
 public:
  SimClient(World& world, int number, std::vector<SimNode*>& nodes, Ledger& ledger);

  void start();
  /// Takes no new locks and gives back what it has.
  void quiesce() { quiescent_ = true; }
  /// Never runs again; what it held is its session's until that expires.
  void die();
  void pause(Duration length);
  bool alive() const { return !dead_; }
  bool holds(const std::string& path);
  bool waits() const { return state_ == State::kWaiting; }
  const std::string& path() const { return path_; }
  bool busy() const { return state_ != State::kIdle; }
  int64_t session() const { return session_; }
  int number() const { return number_; }

 private:
  enum class State { kIdle, kAcquiring, kWaiting, kHolding, kReleasing };
  using Reply = std::function<void(const server::ReplyView*, const api::HoldfastError*)>;

  void ask(SimNode::Ask request, Duration timeout, Reply reply);
  void later(Duration delay, std::function<void()> then);
  api::RequestContext context(int64_t sequence) const;
  SimNode& pick();

  void open();
  void poll();
  void on_poll(const api::PollResult& result, Instant sent);
  void renewed(int64_t lease_ms, const std::vector<api::RevocationNotice>& notices, Instant sent);
  void expired();
  void act();
  void acquire();
  void on_acquire(const api::AcquireResult& result);
  void believe(int64_t holder, int64_t token);
  Instant handle_until() const;
  void release();
  void note(const api::ResponseHeader& header);

  World& world_;
  const int number_;
  std::vector<SimNode*>& nodes_;
  Ledger& ledger_;
  SimClock clock_;
  SimEntropy entropy_;
  bool dead_ = false;
  bool quiescent_ = false;
  Duration paused_until_{0};
  uint64_t life_ = 0;  ///< of the session: callbacks of an ended one are ignored

  std::string secret_;
  int64_t session_ = 0;
  int64_t sequence_ = 0;
  int64_t done_to_ = 0;  ///< all sequences up to here are known
  Instant lease_until_;
  std::map<int, int64_t> deliveries_;
  int last_server_ = 0;
  std::vector<int64_t> notices_;
  /// When a handle under a notice ends at the latest, by holder id; 0: of the whole session. Kept
  /// for handles that this client learns of only later, which start under the notice.
  std::map<int64_t, Instant> told_;

  State state_ = State::kIdle;
  std::string path_;
  int64_t acquire_sequence_ = 0;
  int64_t wait_ms_ = 0;
  int64_t holder_ = 0;
  int64_t token_ = 0;
  bool announced_ = false;  ///< a revocation names the held handle
  Instant handle_until_;    ///< announced: the handle ends here at the latest
};

}  // namespace holdfast::sim
