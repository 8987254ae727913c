// Numbers of things for people.
#pragma once

#include <cstdint>
#include <string>

namespace holdfast {

/// "0 entries", "1 entry", "2 entries" of ("entry", "entries").
std::string count_text(uint64_t count, const char* one, const char* several);

}  // namespace holdfast
