// Sizes for people.
#pragma once

#include <cstdint>
#include <string>

namespace holdfast {

/// "917 bytes", "64 KiB", "2.5 MiB", "117 MiB": rounded down, so that what is free is not more.
std::string byte_text(uint64_t bytes);

}  // namespace holdfast
