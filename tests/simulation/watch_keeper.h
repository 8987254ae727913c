// The watches of a model client, as the client libraries keep them: registered at the process that
// is polled, anew with the last revision whenever another one answers, fed by its replies alone.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/simulation/sim_client.h"
#include "tests/simulation/watch_stream.h"

namespace holdfast::sim {

class WatchKeeper {
 public:
  explicit WatchKeeper(SimClient& client) : client_(client) {}

  /// Begins a watch and names it; zero if this client does not poll.
  int begin(const WatchSpec& spec, int64_t since);
  void end(int watch);
  /// Nobody reads it for a while: the server need not keep it.
  void rest(int watch);
  void wake(int watch);
  void wake_all();

  /// A server's answer leaves there.
  void emitted(const SimNode& node, const api::PollResult& result);
  void emitted(const SimNode& node, const api::WatchResult& result);
  /// It is taken up, before the next poll acknowledges it.
  void answered(const api::PollResult& result);

  /// What keeps a watch from having come to `revision`; empty: nothing.
  std::string behind(int64_t revision) const;

 private:
  /// A process: number of its node and serverEpoch.
  using Place = std::pair<int, int64_t>;
  struct Watched {
    WatchStream stream;
    int64_t id = 0;  ///< at place_; zero: it is not registered there
    bool resting = false;
    Place last;  ///< where it was registered last
  };

  /// What a reply tells of one watch.
  struct Arrival {
    api::WatchDelivery delivery;
    int64_t revision = 0;  ///< of the reply
    int64_t floor = 0;     ///< how far back the server's history reached
  };

  void move(const Place& place);
  void deliver(const Arrival& arrival);
  void leave(Watched& watched);
  void disown(int64_t id);
  /// Asks the next thing of the server that is polled, one at a time.
  void work();
  void unregister(int64_t id);
  void enroll(int watch);
  void enrolled(int watch, const Place& place, bool same_stay,
                const Outcome<api::WatchResult>& outcome);
  void take_place(Watched& watched, const Place& place, const api::WatchResult& result);
  void again();

  SimClient& client_;
  std::map<int, Watched> watched_;
  int newest_ = 0;
  Place place_{};
  uint64_t stay_ = 0;  ///< how often the place has changed
  bool asking_ = false;
  bool waiting_ = false;
  int enrolling_ = 0;
  std::vector<Arrival> orphans_;  ///< for enrolling_, perhaps
  std::set<int64_t> disowned_;    ///< at place_: nobody's any more
  std::vector<int64_t> unwatch_;
  std::map<int64_t, std::set<int64_t>> left_behind_;      ///< by epoch
  std::map<int64_t, std::map<int64_t, int64_t>> floors_;  ///< by epoch and delivery, the last few
  std::set<std::tuple<int64_t, int64_t, int64_t>> told_;  ///< epoch, watch, revision: left a server
  std::set<std::tuple<int64_t, int64_t, int64_t>> again_;  ///< and more than once
};

}  // namespace holdfast::sim
