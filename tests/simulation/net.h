// The network between all nodes and clients: delay, loss, repetition, cuts, clogs and resets.
// Endpoints are numbered: nodes from 1 up, clients from -1 down.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "tests/simulation/world.h"

namespace holdfast::sim {

using Pairs = std::vector<std::pair<int, int>>;

class Net {
 public:
  explicit Net(World& world);

  /// How something may arrive.
  struct Kind {
    int lane = 0;         ///< what goes the same way on one lane keeps its order
    bool core = false;    ///< the core's messages may also be repeated and overtake each other
    bool ordered = true;  ///< calls of clients have no lane
  };
  /// `arrive` runs at the other side, once or more or never. True: it left.
  void send(int from, int to, Kind kind, std::function<void()> arrive);
  bool is_cut(int from, int to) const { return cuts_[slot(from)][slot(to)] > 0; }

  // Faults; each is counted, so that overlapping ones end one by one.
  void cut(const Pairs& pairs) { count(cuts_, pairs, 1); }
  void mend(const Pairs& pairs) { count(cuts_, pairs, -1); }
  void clog(const Pairs& pairs) { count(clogs_, pairs, 1); }
  void unclog(const Pairs& pairs);
  /// What is on its way between the two is lost.
  void reset(int a, int b);
  /// Core messages from `node` arrive a second time after `later`; zero ends that.
  void repeat(int node, Duration later) { repeats_[slot(node)] = later; }

  /// No more loss, repetition and long delays.
  void calm() { calm_ = true; }
  /// Messages that were sent, in all.
  uint64_t sent() const { return sent_; }
  /// Highest number of messages between nodes within one simulated second.
  uint64_t busiest_second() const { return busiest_; }

 private:
  static constexpr size_t kEnds = 24;
  using Matrix = std::array<std::array<int16_t, kEnds>, kEnds>;
  struct Packet {
    int from = 0;
    int to = 0;
    uint32_t epoch = 0;
    std::function<void()> arrive;
  };
  static size_t slot(int end) { return static_cast<size_t>(end > 0 ? end : 7 - end); }
  static void count(Matrix& matrix, const Pairs& pairs, int16_t by);
  Stream& stream(int from, int to);
  Duration delay(Stream& draws);
  void fly(Packet packet, Duration at);
  void land(Packet packet);
  void count_sent();

  World& world_;
  std::array<std::array<Stream*, kEnds>, kEnds> streams_{};
  Matrix cuts_{};
  Matrix clogs_{};
  std::array<std::array<uint32_t, kEnds>, kEnds> epochs_{};
  std::array<Duration, kEnds> repeats_{};
  std::array<std::array<std::array<Duration, 2>, kEnds>, kEnds> lanes_{};
  std::vector<Packet> clogged_;
  bool calm_ = false;
  uint64_t sent_ = 0;
  int64_t second_ = 0;
  uint64_t in_second_ = 0;
  uint64_t busiest_ = 0;
};

}  // namespace holdfast::sim
