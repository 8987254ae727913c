#include "tests/simulation/world.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace holdfast::sim {

void World::after(Duration delay, std::function<void()> event) {
  uint32_t slot = 0;
  if (free_.empty()) {
    slot = static_cast<uint32_t>(slots_.size());
    slots_.push_back(std::move(event));
  } else {
    slot = free_.back();
    free_.pop_back();
    slots_[slot] = std::move(event);
  }
  heap_.push_back({(now_ + delay).count(), ++number_, slot});
  std::push_heap(heap_.begin(), heap_.end());
}

bool World::step(Duration end) {
  if (heap_.empty() || heap_.front().at > end.count()) {
    now_ = std::max(now_, end);
    return false;
  }
  std::pop_heap(heap_.begin(), heap_.end());
  const Item item = heap_.back();
  heap_.pop_back();
  now_ = Duration(item.at);
  ++events_;
  const std::function<void()> run = std::move(slots_[item.slot]);
  slots_[item.slot] = nullptr;
  free_.push_back(item.slot);
  run();
  return true;
}

void World::tell(const std::string& who, const std::string& what) {
  if (telling) told_.push_back({now_, who, what});
  if (!verbose) return;
  std::printf("%12.6f  %-9s %s\n", static_cast<double>(now_.count()) / 1e9, who.c_str(),
              what.c_str());
}

Duration SimClock::local(Duration true_time) const {
  const int64_t t = true_time.count();
  return Duration(t / 1'000'000 * rate_ + t % 1'000'000 * rate_ / 1'000'000);
}

Duration SimClock::true_time(Duration local_time) const {
  if (local_time <= 0ns) return 0ns;
  const int64_t t = local_time.count();
  return Duration(t / rate_ * 1'000'000 + (t % rate_ * 1'000'000 + rate_ - 1) / rate_ + 1);
}

SimClock draw_clock(World& world, const std::string& who, int64_t apart_ppm) {
  // (1 + h) / (1 - h) is at most 1 + b if h = b / (2 + b).
  const int64_t half = apart_ppm * 1'000'000 / (2'000'000 + apart_ppm);
  Stream& stream = world.stream("clock/" + who);
  // The calm choice is true time's own rate.
  const int64_t drawn = stream.between(0, 2 * half);
  const int64_t rate = drawn <= half ? drawn : half - drawn;
  return {world, rate, Duration(std::chrono::seconds(stream.between(1, 100'000)))};
}

void SimEntropy::fill(void* out, size_t size) {
  auto* at = static_cast<char*>(out);
  while (size > 0) {
    const uint64_t value = random_.next();
    const size_t part = std::min(size, sizeof value);
    std::memcpy(at, &value, part);
    at += part;
    size -= part;
  }
}

}  // namespace holdfast::sim
