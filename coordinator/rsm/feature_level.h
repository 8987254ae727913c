// What a program knows of entries, as one number (docs/state-machine.md, "Feature levels").
#pragma once

#include <cstdint>

namespace holdfast::rsm {

/// The feature level that this program understands (held equal to the IDL's constant).
inline constexpr int32_t kFeatureLevel = 3;

}  // namespace holdfast::rsm
