#include "coordinator/rsm/settings.h"

#include <algorithm>
#include <utility>

#include "coordinator/rsm/path.h"

namespace holdfast::rsm {
namespace {

constexpr int64_t kDayMs = 86'400'000;
constexpr int64_t kHourMs = 3'600'000;
/// Times that cross the API are below 2^53.
constexpr int64_t kNever = (int64_t{1} << 53) - 1;

// Initial values belong to the feature level: another one here would make replicas differ.
constexpr std::array<SettingInfo, kSettings> kInfos = {{
    {SettingId::kAttributesBytesMax, "attributes_bytes_max", 0, 65'536, 4'096,
     "Encoded attributes of one session, in bytes."},
    {SettingId::kEphemeralsPerSessionMax, "ephemerals_per_session_max", 1, 10'000, 10'000,
     "Ephemeral keys of one session."},
    {SettingId::kHolderValueBytesMax, "holder_value_bytes_max", 0, 65'536, 4'096,
     "Value that a holder publishes, in bytes."},
    {SettingId::kKeyBytesMax, "key_bytes_max", 1'000, int64_t{1} << 40, int64_t{8} << 30,
     "Names and values of all keys together, in bytes."},
    {SettingId::kKeyTtlMsMax, "key_ttl_ms_max", 1'000, 366 * kDayMs, 30 * kDayMs,
     "Longest TTL of a key."},
    {SettingId::kKeyTtlMsMin, "key_ttl_ms_min", 1, kDayMs, 1'000, "Shortest TTL of a key."},
    {SettingId::kKeysMax, "keys_max", 1, 100'000'000, 10'000'000, "Keys, in the whole cluster."},
    {SettingId::kLockDelayMsMax, "lock_delay_ms_max", 0, kDayMs, 600'000,
     "Longest time that a lock stays closed after its holder's session expired."},
    {SettingId::kLocksMax, "locks_max", 1, 100'000'000, 1'000'000,
     "Locks that are held, queued for or closed, in the whole cluster."},
    {SettingId::kNoticeMsMax, "notice_ms_max", 0, kDayMs, kHourMs,
     "Longest notice of a revocation."},
    {SettingId::kOwnedPerSessionMax, "owned_per_session_max", 1, 10'000, 10'000,
     "Locks held and queue places of one session, together."},
    {SettingId::kOwnerBytesMax, "owner_bytes_max", 0, 1'024, 64,
     "Name of a handle within its session, in bytes."},
    {SettingId::kPathBytesMax, "path_bytes_max", 16, kPathBytesLargest, 1'024, "Path, in bytes."},
    {SettingId::kPathDepthMax, "path_depth_max", 1, kPathDepthLargest, 64, "Segments of a path."},
    {SettingId::kReasonBytesMax, "reason_bytes_max", 0, 1'024, 256,
     "An operator's words at a revocation, in bytes."},
    {SettingId::kRestoreHoldUntilMs, "restore_hold_until_ms", 0, kNever, 0,
     "After a restore: cluster time until which no lock is granted. It can only be lowered."},
    {SettingId::kResultWindow, "result_window", 16, 65'536, 1'024,
     "Results of one session that are kept until the client acknowledges them."},
    {SettingId::kResultWindowBytes, "result_window_bytes", 16'384, 16'777'216, 262'144,
     "Bytes of the kept results of one session; each counts 64 and its text."},
    {SettingId::kSessionNameBytesMax, "session_name_bytes_max", 0, 1'024, 256,
     "Name of a session, in bytes."},
    {SettingId::kSessionTtlMsMax, "session_ttl_ms_max", 100, 7 * kDayMs, kDayMs,
     "Longest TTL that a session may ask for."},
    {SettingId::kSessionTtlMsMin, "session_ttl_ms_min", 100, kDayMs, 4'000,
     "Shortest TTL that a session may ask for; below three times the longest failover, elections "
     "can cost live sessions."},
    {SettingId::kSessionsMax, "sessions_max", 1, 10'000'000, 200'000,
     "Sessions open at a time, in the whole cluster."},
    {SettingId::kTenuresKept, "tenures_kept", 1, 10'000'000, 10'000,
     "Past tenures remembered, over all locks."},
    {SettingId::kTransactionStepsMax, "transaction_steps_max", 1, 1'024, 1'024,
     "Compares and operations of one transaction, together."},
    {SettingId::kValueBytesMax, "value_bytes_max", 0, 1'048'576, 1'048'576,
     "Value of a key, in bytes."},
    {SettingId::kWaitersPerLockMax, "waiters_per_lock_max", 1, 100'000, 10'000,
     "Waiters of one lock."},
}};

static_assert(std::ranges::is_sorted(kInfos, [](const SettingInfo& a, const SettingInfo& b) {
  return std::string_view(a.name) < std::string_view(b.name);
}));

const SettingInfo* find_info(std::string_view name) {
  const auto it = std::ranges::find(kInfos, name, &SettingInfo::name);
  return it == kInfos.end() ? nullptr : &*it;
}

const SettingInfo& info_of(SettingId id) {
  return *std::ranges::find(kInfos, id, &SettingInfo::id);
}

Error bad_argument(std::string message) { return {ErrorCode::kBadArgument, std::move(message)}; }

Error out_of_bounds(const SettingInfo& info, int64_t value) {
  return bad_argument("setting " + std::string(info.name) + " cannot be " + std::to_string(value) +
                      ": allowed are " + std::to_string(info.smallest) + " to " +
                      std::to_string(info.largest));
}

Error cannot_hold(int64_t value, int64_t present) {
  return bad_argument("setting restore_hold_until_ms cannot be " + std::to_string(value) +
                      ": it can only be lowered, and is " + std::to_string(present));
}

}  // namespace

const std::array<SettingInfo, kSettings>& setting_infos() { return kInfos; }

Settings::Settings() {
  for (const SettingInfo& info : kInfos) values_[static_cast<size_t>(info.id) - 1] = info.initial;
}

Status Settings::change(const std::map<std::string, int64_t>& changes) {
  Settings changed = *this;
  for (const auto& [name, value] : changes) {
    const SettingInfo* info = find_info(name);
    if (info == nullptr) {
      return bad_argument("there is no setting \"" + name.substr(0, 64) + "\"");
    }
    if (value < info->smallest || value > info->largest) return out_of_bounds(*info, value);
    const bool hold = info->id == SettingId::kRestoreHoldUntilMs;
    if (hold && value >= get(info->id)) return cannot_hold(value, get(info->id));
    changed.values_[static_cast<size_t>(info->id) - 1] = value;
  }
  for (const auto& [smallest, largest] :
       {std::pair(SettingId::kSessionTtlMsMin, SettingId::kSessionTtlMsMax),
        std::pair(SettingId::kKeyTtlMsMin, SettingId::kKeyTtlMsMax)}) {
    if (changed.get(smallest) <= changed.get(largest)) continue;
    return bad_argument(std::string(info_of(smallest).name) + " " +
                        std::to_string(changed.get(smallest)) + " would be above " +
                        info_of(largest).name + " " + std::to_string(changed.get(largest)));
  }
  *this = changed;
  return ok_status();
}

void Settings::hold_until(int64_t cluster_time_ms) {
  values_[static_cast<size_t>(SettingId::kRestoreHoldUntilMs) - 1] =
      std::min(cluster_time_ms, kNever);
}

bool Settings::load(uint64_t id, int64_t value) {
  const auto it = std::ranges::find_if(
      kInfos, [id](const SettingInfo& info) { return static_cast<uint64_t>(info.id) == id; });
  if (it == kInfos.end() || value < it->smallest || value > it->largest) return false;
  values_[id - 1] = value;
  return true;
}

}  // namespace holdfast::rsm
