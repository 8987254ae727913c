// What is drawn while a run goes on: named streams of numbers. They come from a seed, from a
// schedule that recorded them, or from a byte string (for a coverage-guided fuzzer). Each draw is
// made so that zero is the calm choice: no loss, no fault, the shortest delay. Hence a schedule
// names only the draws that are not zero, and shrinking a run means to drop some of them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/entropy.h"

namespace holdfast::sim {

/// Draws that are not zero: by stream, by their number in it (from 0).
using DrawTable = std::map<std::string, std::map<uint64_t, uint64_t>>;

class Draws;

/// One stream. A further draw in it leaves all other streams alone.
class Stream {
 public:
  /// In [0, bound); bound must be positive. Zero is the calm choice.
  uint64_t below(uint64_t bound);
  /// In [low, high]; low is the calm choice.
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(below(static_cast<uint64_t>(high - low + 1)));
  }
  /// True in `permille` of 1,000 draws; false is the calm choice. Draws nothing if permille is 0.
  bool chance(int64_t permille);
  /// Any number: a seed for something else.
  uint64_t seed() { return below(uint64_t{1} << 62); }

 private:
  friend class Draws;
  Stream(Draws& draws, std::string name, uint64_t seed);
  uint64_t raw(uint64_t bound);
  uint64_t note(uint64_t value);

  Draws& draws_;
  const std::string name_;
  SplitMix random_;
  uint64_t drawn_ = 0;
  const std::map<uint64_t, uint64_t>* given_ = nullptr;
  std::map<uint64_t, uint64_t>* recorded_ = nullptr;
};

class Draws {
 public:
  explicit Draws(uint64_t seed) : seed_(seed) {}
  /// Replays; what the table does not name is zero.
  explicit Draws(DrawTable table) : kind_(Kind::kTable), table_(std::move(table)) {}
  /// Every draw takes the next bytes; zero when they are used up.
  static Draws from_bytes(std::string bytes);
  Draws(const Draws&) = delete;
  Draws& operator=(const Draws&) = delete;
  Draws(Draws&&) = default;

  /// The stream of that name; valid as long as this is. Streams are made before they are used, and
  /// this object is not moved afterwards.
  Stream& stream(const std::string& name);
  /// From now on what is drawn is kept. Call before the first stream is made.
  void record() { recording_ = true; }
  const DrawTable& recorded() const { return recorded_; }

 private:
  friend class Stream;
  enum class Kind { kSeed, kTable, kBytes };
  uint64_t take_bytes(uint64_t bound);

  Kind kind_ = Kind::kSeed;
  uint64_t seed_ = 0;
  DrawTable table_;
  std::string bytes_;
  size_t at_ = 0;
  bool recording_ = false;
  DrawTable recorded_;
  std::map<std::string, std::unique_ptr<Stream>> streams_;
};

}  // namespace holdfast::sim
