#include "tests/simulation/world.h"

#include <cstdio>
#include <cstring>

#include "base/checksum.h"

namespace holdfast::sim {

Draw::Draw(uint64_t seed, const char* name) : random_(checksum64(name, seed)) {}

Weather draw_weather(uint64_t seed) {
  Draw draw(seed, "weather");
  Weather w;
  w.nodes = draw.chance(300) ? 5 : 3;
  w.clients = static_cast<int>(draw.between(2, 8));
  w.paths = static_cast<int>(draw.between(1, 3));
  if (draw.chance(500)) w.loss_permille = draw.below(100);
  if (draw.chance(300)) w.duplicate_permille = draw.below(100);
  if (draw.chance(300)) w.reorder_permille = draw.below(200);
  w.delay_us_max = draw.chance(200) ? 60'000 : draw.between(100, 3'000);
  w.disk_us_max = draw.chance(200) ? 80'000 : draw.between(100, 2'000);
  w.drift_ppm = draw.chance(500) ? 10'000 : 0;
  w.crashes = draw.chance(600);
  w.power_losses = draw.chance(400);
  w.partitions = draw.chance(500);
  w.pauses = draw.chance(400);
  w.client_faults = draw.chance(600);
  w.revocations = draw.chance(300);
  w.segment_bytes = uint64_t{4 << 10} << draw.below(6);
  return w;
}

World::World(uint64_t seed)
    : weather(draw_weather(seed)),
      net(seed, "net"),
      disk(seed, "disk"),
      faults(seed, "faults"),
      clients(seed, "clients"),
      clocks(seed, "clocks") {}

void World::after(Duration delay, std::function<void()> event) {
  queue_.push({now_ + delay, events_ + queue_.size(), std::move(event)});
}

bool World::step(Duration end) {
  if (queue_.empty() || queue_.top().at > end) {
    now_ = end;
    return false;
  }
  const Event event = queue_.top();
  queue_.pop();
  now_ = event.at;
  ++events_;
  event.run();
  return true;
}

void World::trace(uint64_t what) {
  uint64_t parts[3] = {trace_, what, static_cast<uint64_t>(now_.count())};
  trace_ = checksum64({reinterpret_cast<const char*>(parts), sizeof parts});
}

void World::log(const std::string& line) const {
  if (!verbose) return;
  std::printf("%12.6f  %s\n", static_cast<double>(now_.count()) / 1e9, line.c_str());
}

Duration SimClock::true_time(Duration local_time) const {
  if (local_time <= 0ns) return 0ns;
  // 1 / (1 + r) < 1 - r + 2 r^2, and r is at most 1 %: late by a little, never early.
  const int64_t r = rate_ppm_;
  const int64_t part = local_time.count() / 1'000'000;
  return local_time - Duration(part * r) + Duration(part * (2 * r * r / 1'000'000 + 2)) + 1us;
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
