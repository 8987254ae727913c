// The simulated world: one event queue in true time, draws, what was met, and clocks that run at
// their own rates. One thread; same plan and draws, same run.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/entropy.h"
#include "tests/simulation/draws.h"
#include "tests/simulation/invariants.h"
#include "tests/simulation/marks.h"
#include "tests/simulation/plan.h"

namespace holdfast::sim {

/// A line of a run's story. Who: "node 2", "client 1", "fault".
struct Told {
  Duration at;
  std::string who;
  std::string what;
};

class World {
 public:
  /// Both outlive the world.
  World(const Weather& weather, Draws& draws) : weather_(weather), draws_(draws) {}

  const Weather& weather() const { return weather_; }
  Stream& stream(const std::string& name) { return draws_.stream(name); }

  Duration now() const { return now_; }
  /// Runs `event` after `delay` of true time; of two at one time the earlier asked first.
  void after(Duration delay, std::function<void()> event);
  /// Runs the next event; false if there is none at or before `end`.
  bool step(Duration end);
  /// Messages, disk steps, client steps so far.
  uint64_t events() const { return events_; }
  /// The event that runs now turned out to be none: a timer that something else had overtaken.
  void uncount() { --events_; }
  size_t waiting() const { return heap_.size(); }

  void mark(Mark mark) { marks_.hit(mark); }
  const MarkCounts& marks() const { return marks_; }

  /// Mixes what happened into the hash by which two runs are compared.
  void trace(uint64_t what) {
    trace_ = (trace_ ^ what ^ static_cast<uint64_t>(now_.count())) * 0x9E3779B97F4A7C15;
    trace_ ^= trace_ >> 29;
  }
  uint64_t trace_hash() const { return trace_; }

  /// Keeps what is told, for a timeline; without it tell() costs nothing but its arguments.
  bool telling = false;
  /// Prints what is told at once.
  bool verbose = false;
  bool listens() const { return telling || verbose; }
  void tell(const std::string& who, const std::string& what);
  const std::vector<Told>& told() const { return told_; }

 private:
  struct Item {
    int64_t at;
    uint64_t number;
    uint32_t slot;
    bool operator<(const Item& other) const {
      return at != other.at ? at > other.at : number > other.number;
    }
  };
  const Weather& weather_;
  Draws& draws_;
  std::vector<Item> heap_;
  std::vector<std::function<void()>> slots_;
  std::vector<uint32_t> free_;
  Duration now_{0};
  uint64_t number_ = 0;
  uint64_t events_ = 0;
  uint64_t trace_ = 0;
  MarkCounts marks_;
  std::vector<Told> told_;
};

/// A machine's clocks. The boot-time clock is true time at its own rate from its own origin; the
/// wall clock can be set to anything.
class SimClock final : public Clock {
 public:
  SimClock(const World& world, int64_t rate_ppm, Duration origin)
      : world_(world), rate_(1'000'000 + rate_ppm), origin_(origin) {}
  Instant now() override { return at(world_.now()); }
  Instant at(Duration true_time) const { return Instant(origin_ + local(true_time)); }
  int64_t wall_unix_ms() override { return 1'700'000'000'000 + to_ms(world_.now() + wall_); }
  void set_wall(Duration jump) { wall_ += jump; }
  /// True time in which this clock advances by `local_time`, rounded up.
  Duration true_time(Duration local_time) const;

 private:
  Duration local(Duration true_time) const;
  const World& world_;
  int64_t rate_;  ///< of this clock, in millionths of true time's
  Duration origin_;
  Duration wall_{0};
};

/// A clock whose rate differs from any other's by less than `apart_ppm`.
SimClock draw_clock(World& world, const std::string& who, int64_t apart_ppm);

class SimEntropy final : public Entropy {
 public:
  explicit SimEntropy(uint64_t seed) : random_(seed) {}
  void fill(void* out, size_t size) override;

 private:
  SplitMix random_;
};

}  // namespace holdfast::sim
