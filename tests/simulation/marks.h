// Rare states that the simulation should meet. A mark is counted where the state is met; a mark
// that a long run never hit says that the runs do not reach what they should.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace holdfast::sim {

enum class Mark : uint8_t {
#define HF_MARK(name, text) name,
#include "tests/simulation/marks.inc"
#undef HF_MARK
  kCount,
};
inline constexpr size_t kMarks = static_cast<size_t>(Mark::kCount);

/// What was met, in a few words.
std::string_view text_of(Mark mark);

/// As a schedule names it: "LogCut".
std::string_view name_of(Mark mark);
std::optional<Mark> mark_named(std::string_view name);

class MarkCounts {
 public:
  void hit(Mark mark) { ++counts_[static_cast<size_t>(mark)]; }
  void add(const MarkCounts& other) {
    for (size_t i = 0; i < kMarks; ++i) counts_[i] += other.counts_[i];
  }
  uint64_t of(Mark mark) const { return counts_[static_cast<size_t>(mark)]; }
  size_t hit_marks() const;

 private:
  std::array<uint64_t, kMarks> counts_{};
};

}  // namespace holdfast::sim
