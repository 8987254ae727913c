#include "tests/simulation/net.h"

#include <algorithm>
#include <memory>
#include <string>

namespace holdfast::sim {

namespace {

constexpr int64_t kDelayMinUs = 20;

std::string end_name(int end) { return end > 0 ? std::to_string(end) : "c" + std::to_string(-end); }

}  // namespace

Net::Net(World& world) : world_(world) {}

void Net::count(Matrix& matrix, const Pairs& pairs, int16_t by) {
  for (const auto& [from, to] : pairs) {
    int16_t& number = matrix[slot(from)][slot(to)];
    number = static_cast<int16_t>(number + by);
  }
}

Stream& Net::stream(int from, int to) {
  Stream*& known = streams_[slot(from)][slot(to)];
  if (known == nullptr) {
    known = &world_.stream("net/" + end_name(from) + "/" + end_name(to));
  }
  return *known;
}

Duration Net::delay(Stream& draws) {
  const Weather& w = world_.weather();
  const bool tail = !calm_ && draws.chance(w.tail_permille);
  const int64_t most = std::max(tail ? w.tail_us : w.delay_us, kDelayMinUs);
  return std::chrono::microseconds(draws.between(kDelayMinUs, most));
}

void Net::count_sent() {
  ++sent_;
  const int64_t second = world_.now() / std::chrono::seconds(1);
  if (second != second_) {
    second_ = second;
    in_second_ = 0;
  }
  busiest_ = std::max(busiest_, ++in_second_);
}

void Net::send(int from, int to, Kind kind, std::function<void()> arrive) {
  count_sent();
  const Weather& w = world_.weather();
  Stream& draws = stream(from, to);
  const bool lost = !calm_ && draws.chance(w.loss_permille);
  if (is_cut(from, to) || lost) return;
  const bool twice = kind.core && !calm_ && draws.chance(w.duplicate_permille);
  Packet packet{from, to, epochs_[slot(from)][slot(to)], std::move(arrive)};
  const Duration again = repeats_[slot(from)];
  if (kind.core && again > 0ns) {
    world_.mark(Mark::kOldMessage);
    fly(packet, world_.now() + again);
  }
  if (twice) fly(packet, world_.now() + delay(draws));
  Duration at = world_.now() + delay(draws);
  const bool overtakes = kind.core && !calm_ && draws.chance(w.reorder_permille);
  if (kind.ordered && !overtakes) {
    Duration& last = lanes_[slot(from)][slot(to)][static_cast<size_t>(kind.lane)];
    at = std::max(at, last + 1ns);
    last = at;
  }
  fly(std::move(packet), at);
}

void Net::fly(Packet packet, Duration at) {
  auto shared = std::make_shared<Packet>(std::move(packet));
  world_.after(at - world_.now(), [this, shared] { land(std::move(*shared)); });
}

// A cut or a reset that came meanwhile loses what is on its way too.
void Net::land(Packet packet) {
  const size_t from = slot(packet.from);
  const size_t to = slot(packet.to);
  if (cuts_[from][to] > 0 || epochs_[from][to] != packet.epoch) return;
  if (clogs_[from][to] > 0) return clogged_.push_back(std::move(packet));
  world_.trace(from << 8 | to);
  packet.arrive();
}

void Net::unclog(const Pairs& pairs) {
  count(clogs_, pairs, -1);
  std::vector<Packet> held = std::move(clogged_);
  clogged_.clear();
  for (Packet& packet : held) {
    if (clogs_[slot(packet.from)][slot(packet.to)] > 0) {
      clogged_.push_back(std::move(packet));
    } else {
      fly(std::move(packet), world_.now());
    }
  }
}

void Net::reset(int a, int b) {
  ++epochs_[slot(a)][slot(b)];
  ++epochs_[slot(b)][slot(a)];
}

}  // namespace holdfast::sim
