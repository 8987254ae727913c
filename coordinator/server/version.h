// The version of this build, as shown by --version and the status call.
#pragma once

namespace holdfast::server {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace holdfast::server
