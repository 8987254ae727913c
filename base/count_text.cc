#include "base/count_text.h"

namespace holdfast {

std::string count_text(uint64_t count, const char* one, const char* several) {
  return std::to_string(count) + " " + (count == 1 ? one : several);
}

}  // namespace holdfast
