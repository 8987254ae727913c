// What the room of watches speaks of: events as they come from apply, and what a watch asks for.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/ids.h"

namespace holdfast::watch {

/// Whose interest it is: a session's channel or a parked call. The caller's number, not ours.
using OwnerId = Id<struct OwnerTag>;
/// A watch; numbered by Watches from 1 on, ascending, never used again in this process.
using WatchId = Ordinal<struct WatchIdTag>;

/// Keys and locks are separate spaces of paths. The numbers are bits of a watch's `spaces`.
enum class Space : uint8_t { kKeys = 1, kLocks = 2 };
inline constexpr uint8_t kBothSpaces = 3;

/// What happened. The numbers are bits of a watch's `types`; new ones below 32 may be added, and
/// nothing here depends on which there are.
enum class EventType : uint8_t {
  kCreated = 0,
  kChanged = 1,
  kRemoved = 2,
  kGranted = 8,
  kTenureEnded = 9,
  kWaiting = 10,
  kWaitEnded = 11,
};
inline constexpr unsigned kEventTypesMax = 32;
inline constexpr uint32_t kAllTypes = UINT32_MAX;
inline constexpr uint32_t bit(EventType type) { return uint32_t{1} << static_cast<unsigned>(type); }

/// Which paths a watch sees: its own; its direct children, but not itself; itself and all below.
enum class Scope : uint8_t { kNode = 0, kChildren = 1, kSubtree = 2 };
inline constexpr size_t kScopes = 3;

/// One change as apply tells it. The bytes are copied.
struct NewEvent {
  Space space = Space::kKeys;
  EventType type = EventType::kChanged;
  bool has_value = false;    ///< the encoding with the value differs from the one without
  std::string_view path;     ///< absolute: "/" or "/a/b"
  std::string_view payload;  ///< the caller's; nothing here looks into it
};

/// What a watch asks for.
struct WatchSpec {
  std::string_view path;
  Scope scope = Scope::kNode;
  uint8_t spaces = kBothSpaces;  ///< bits of Space, at least one
  uint32_t types = kAllTypes;    ///< bits of EventType
  bool with_values = false;
  /// The last revision that the client has seen: events after it are told. Zero: from now on. A
  /// revision still to come: events after that one.
  Revision since;
};

}  // namespace holdfast::watch
