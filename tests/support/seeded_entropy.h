// Entropy from a seed, for tests.
#pragma once

#include "base/entropy.h"

namespace holdfast {

class SeededEntropy final : public Entropy {
 public:
  explicit SeededEntropy(uint64_t seed) : random_(seed) {}
  void fill(void* out, size_t size) override {
    auto* bytes = static_cast<unsigned char*>(out);
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<unsigned char>(random_.next());
  }

 private:
  SplitMix random_;
};

}  // namespace holdfast
