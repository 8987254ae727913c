#include "tests/simulation/marks.h"

#include <algorithm>

namespace holdfast::sim {

namespace {
constexpr std::array<std::string_view, kMarks> kTexts = {
#define HF_MARK(name, text) text,
#include "tests/simulation/marks.inc"
#undef HF_MARK
};
constexpr std::array<std::string_view, kMarks> kNames = {
#define HF_MARK(name, text) #name,
#include "tests/simulation/marks.inc"
#undef HF_MARK
};
}  // namespace

std::string_view name_of(Mark mark) { return kNames[static_cast<size_t>(mark)].substr(1); }

std::optional<Mark> mark_named(std::string_view name) {
  for (size_t i = 0; i < kMarks; ++i) {
    const auto mark = static_cast<Mark>(i);
    if (name_of(mark) == name) return mark;
  }
  return std::nullopt;
}

std::string_view text_of(Mark mark) { return kTexts[static_cast<size_t>(mark)]; }

size_t MarkCounts::hit_marks() const {
  return static_cast<size_t>(
      std::count_if(counts_.begin(), counts_.end(), [](uint64_t count) { return count > 0; }));
}

}  // namespace holdfast::sim
