// Which version this is: for --version, the status call and metrics.
#pragma once

#include <cstdint>
#include <string>

namespace holdfast {

inline constexpr char kVersion[] = "0.1.0";

/// "0.1.0, feature level 3", and the commit if the build was told it (-DHOLDFAST_COMMIT=...).
std::string version_text(int32_t feature_level);

}  // namespace holdfast
