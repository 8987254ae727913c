// The replicated limits: judged at apply, changed by a committed command, equal on every node.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace holdfast::rsm {

/// In order of their names; numbers are row ids and are never reused.
enum class SettingId : uint8_t {
  kAttributesBytesMax = 1,
  kHolderValueBytesMax = 2,
  kLockDelayMsMax = 3,
  kLocksMax = 4,
  kNoticeMsMax = 5,
  kOwnedPerSessionMax = 6,
  kOwnerBytesMax = 7,
  kPathBytesMax = 8,
  kPathDepthMax = 9,
  kReasonBytesMax = 10,
  kResultWindow = 11,
  kResultWindowBytes = 12,
  kSessionNameBytesMax = 13,
  kSessionTtlMsMax = 14,
  kSessionTtlMsMin = 15,
  kSessionsMax = 16,
  kTenuresKept = 17,
  kWaitersPerLockMax = 18,
  kEphemeralsPerSessionMax = 19,
  kKeyBytesMax = 20,
  kKeyTtlMsMax = 21,
  kKeyTtlMsMin = 22,
  kKeysMax = 23,
  kTransactionStepsMax = 24,
  kValueBytesMax = 25,
  kRestoreHoldUntilMs = 26,
};
inline constexpr size_t kSettings = 26;

/// What a setting is; a constant of the program.
struct SettingInfo {
  SettingId id;
  const char* name;
  int64_t smallest;
  int64_t largest;
  int64_t initial;  ///< the value of a new cluster
  const char* help;
};

/// All settings, sorted by name.
const std::array<SettingInfo, kSettings>& setting_infos();

class Settings {
 public:
  Settings();
  int64_t get(SettingId id) const { return values_[static_cast<size_t>(id) - 1]; }
  uint64_t limit(SettingId id) const { return static_cast<uint64_t>(get(id)); }

  /// Takes all changes or none. BAD_ARGUMENT names an unknown name, or a value and its bounds; also
  /// if the smallest TTL would be above the largest, or if restore_hold_until_ms would not be
  /// lowered: a hold can be shortened only.
  Status change(const std::map<std::string, int64_t>& changes);
  /// The one setting that a command of its own makes: cluster time, 0 = none.
  void hold_until(int64_t cluster_time_ms);
  /// Takes one value as it stands in a row; false if there is no such setting or value.
  bool load(uint64_t id, int64_t value);

 private:
  std::array<int64_t, kSettings> values_{};
};

}  // namespace holdfast::rsm
