#include "tests/simulation/marks.h"

#include <algorithm>

namespace holdfast::sim {

namespace {
constexpr std::array<std::string_view, kMarks> kTexts = {
#define HF_MARK(name, text) text,
#include "tests/simulation/marks.inc"
#undef HF_MARK
};
}  // namespace

std::string_view text_of(Mark mark) { return kTexts[static_cast<size_t>(mark)]; }

size_t MarkCounts::hit_marks() const {
  return static_cast<size_t>(
      std::count_if(counts_.begin(), counts_.end(), [](uint64_t count) { return count > 0; }));
}

}  // namespace holdfast::sim
