// What a program knows of entries, as one number (docs/state-machine.md, "Feature levels").
#pragma once

#include <cstdint>

namespace holdfast::rsm {

/// The highest level that these sources know (held equal to the IDL's constant).
inline constexpr int32_t kNewestFeatureLevel = 5;

/// The feature level that this program understands: the newest. It has a file of its own, which
/// tests replace, to have a program of the level before (tests/compat/previous_level.cc).
extern const int32_t kFeatureLevel;

/// From this level in force on a cancel is answered by what its acquire has come to at the end of
/// the entry.
inline constexpr int32_t kLevelOfLateCancels = 4;
/// From this level in force on a tenure that ends with its session tells the reason that the
/// operator gave for ending the session.
inline constexpr int32_t kLevelOfSessionNotes = 4;
/// From this level in force on a cancel of an acquire that holds its lock is told the grant also if
/// the client has acknowledged the acquire, as it was below kLevelOfLateCancels; or that one of its
/// locks is lost.
inline constexpr int32_t kLevelOfAcknowledgedCancels = 5;

}  // namespace holdfast::rsm
