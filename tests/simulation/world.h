// The simulated world: one event queue in true time, the network between everybody, and clocks that
// run at their own rates. Everything that is drawn comes from named streams of one seed, so that a
// further draw in one leaves the others alone. One thread; same seed, same run.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <queue>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/entropy.h"

namespace holdfast::sim {

/// An invariant does not hold; the run ends with this sentence.
struct Broken : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A stream of draws with a name.
class Draw {
 public:
  Draw(uint64_t seed, const char* name);
  uint64_t below(uint64_t bound) { return random_.below(bound); }
  /// In [low, high].
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(below(static_cast<uint64_t>(high - low + 1)));
  }
  bool chance(uint64_t permille) { return below(1000) < permille; }
  uint64_t next() { return random_.next(); }

 private:
  SplitMix random_;
};

/// What a run is like; drawn from its seed.
struct Weather {
  int nodes = 3;
  int clients = 5;
  int paths = 2;
  uint64_t loss_permille = 0;       ///< of messages between servers and of calls
  uint64_t duplicate_permille = 0;  ///< of messages between servers
  uint64_t reorder_permille = 0;    ///< messages that do not keep their place on the lane
  int64_t delay_us_max = 500;
  int64_t disk_us_max = 400;
  int64_t drift_ppm = 0;  ///< rates lie within half of this around 1: the bound of any two clocks
  bool crashes = false;
  bool power_losses = false;
  bool partitions = false;
  bool pauses = false;
  bool client_faults = false;
  bool revocations = false;
  int64_t ttl_ms = 4'000;
  uint64_t segment_bytes = 64 << 10;
};

class World {
 public:
  explicit World(uint64_t seed);

  Duration now() const { return now_; }
  /// Runs `event` after `delay` of true time.
  void after(Duration delay, std::function<void()> event);
  /// Runs the next event; false if there is none at or before `end`.
  bool step(Duration end);
  uint64_t events() const { return events_; }

  /// Nothing sent from `from` to `to` arrives while it is cut. Ids as the users please.
  void cut(int from, int to) { cut_.insert({from, to}); }
  void heal() { cut_.clear(); }
  bool is_cut(int from, int to) const { return cut_.contains({from, to}); }

  /// Mixes what happened into the hash by which two runs are compared.
  void trace(uint64_t what);
  uint64_t trace_hash() const { return trace_; }
  void log(const std::string& line) const;
  bool verbose = false;

  Weather weather;
  Draw net;
  Draw disk;
  Draw faults;
  Draw clients;
  Draw clocks;
  /// How often a rare state was met.
  std::map<std::string, uint64_t> sometimes;

 private:
  struct Event {
    Duration at;
    uint64_t number;
    std::function<void()> run;
    bool operator<(const Event& other) const {
      return std::tie(at, number) > std::tie(other.at, other.number);
    }
  };
  std::priority_queue<Event> queue_;
  Duration now_{0};
  uint64_t events_ = 0;
  uint64_t trace_ = 0;
  std::set<std::pair<int, int>> cut_;
};

/// Draws what the run of this seed is like.
Weather draw_weather(uint64_t seed);

/// A machine's boot-time clock: true time at its own rate from its own origin.
class SimClock final : public Clock {
 public:
  SimClock(World& world, int64_t rate_ppm, Duration origin)
      : world_(world), rate_ppm_(rate_ppm), origin_(origin) {}
  Instant now() override { return Instant(origin_ + local(world_.now())); }
  int64_t wall_unix_ms() override { return 1'700'000'000'000 + to_ms(world_.now()); }
  /// True time until this clock has advanced by `local_time`, rounded up.
  Duration true_time(Duration local_time) const;

 private:
  Duration local(Duration true_time) const {
    return true_time + Duration(true_time.count() / 1'000'000 * rate_ppm_);
  }
  World& world_;
  int64_t rate_ppm_;
  Duration origin_;
};

class SimEntropy final : public Entropy {
 public:
  explicit SimEntropy(uint64_t seed) : random_(seed) {}
  void fill(void* out, size_t size) override;

 private:
  SplitMix random_;
};

}  // namespace holdfast::sim
