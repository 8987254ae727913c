// Digests of this server's state at indexes by which servers compare. Which indexes are kept is a
// matter of the index alone, so that all servers keep the same ones: the last 64, of those before
// every 64th, of those before every 4,096th. One thread; nothing is allocated.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/checksum.h"
#include "base/ids.h"

namespace holdfast::server {

/// The state after the entry at `index` had this digest.
struct DigestPoint {
  LogIndex index;
  Digest digest;
  friend bool operator==(const DigestPoint&, const DigestPoint&) = default;
};

class DigestPoints {
 public:
  static constexpr size_t kLevels = 3;
  static constexpr uint64_t kStep = 64;  ///< of a level, in those of the level below
  static constexpr size_t kKept = 64;    ///< of each level

  /// The state after the entry at `index`, which is above all earlier ones.
  void add(LogIndex index, const Digest& digest) {
    uint64_t stride = 1;
    for (size_t level = 0; level < kLevels && index.value % stride == 0; ++level, stride *= kStep) {
      slots_[level][index.value / stride % kKept] = {index, digest};
    }
    newest_ = index;
  }
  /// If it is kept.
  std::optional<Digest> at(LogIndex index) const {
    uint64_t stride = 1;
    for (size_t level = 0; level < kLevels; ++level, stride *= kStep) {
      const DigestPoint& slot = slots_[level][index.value / stride % kKept];
      if (slot.index == index && index) return slot.digest;
    }
    return std::nullopt;
  }
  /// Of each level the newest `of_each`, but of the lowest the newest alone; into `out`.
  void newest(size_t of_each, std::vector<DigestPoint>& out) const {
    out.clear();
    uint64_t stride = 1;
    for (size_t level = 0; level < kLevels; ++level, stride *= kStep) {
      const uint64_t last = newest_.value / stride;
      for (uint64_t back = 0; back < (level == 0 ? 1 : of_each) && back < last; ++back) {
        const DigestPoint& slot = slots_[level][(last - back) % kKept];
        const bool there = slot.index == LogIndex((last - back) * stride);
        if (there && (out.empty() || slot.index < out.back().index)) out.push_back(slot);
      }
    }
  }

 private:
  std::array<std::array<DigestPoint, kKept>, kLevels> slots_{};
  LogIndex newest_;
};

}  // namespace holdfast::server
