// The entropy port: where identities, secrets and seeds come from. The simulator supplies its own.
#pragma once

#include <cstddef>
#include <cstdint>

namespace holdfast {

class Entropy {
 public:
  virtual ~Entropy() = default;
  /// Fills `size` bytes at `out`. Ends the process if the system has no randomness to give.
  virtual void fill(void* out, size_t size) = 0;
  uint64_t next_u64();
  /// Uniform in [1, 2^53): the range of every id that crosses the API.
  uint64_t next_id();
};

/// getrandom(2).
class SystemEntropy final : public Entropy {
 public:
  void fill(void* out, size_t size) override;
};

/// Small deterministic generator (splitmix64) for pure code that is given a seed.
class SplitMix {
 public:
  explicit SplitMix(uint64_t seed) : state_(seed) {}
  uint64_t next();
  /// Uniform in [0, bound); bound must be positive.
  uint64_t below(uint64_t bound) { return next() % bound; }

 private:
  uint64_t state_;
};

}  // namespace holdfast
