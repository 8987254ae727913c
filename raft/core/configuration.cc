#include "raft/core/configuration.h"

#include <algorithm>
#include <set>
#include <utility>

#include "raft/core/wire.h"

namespace holdfast::raft {

namespace {

constexpr uint8_t kFormatVersion = 1;
/// Each member has a byte more, its `promote`. Written only if one of them has that.
constexpr uint8_t kFormatWithPromotion = 2;
/// As 2, and the removed members follow. Written only if there are any.
constexpr uint8_t kFormatWithRemoved = 3;
/// As 3, and the level in force follows. Written only if there is one.
constexpr uint8_t kFormatWithLevel = 4;

void append_member(std::string& out, const Member& member, uint8_t format) {
  append_le(out, member.id.value);
  append_le(out, member.store.value);
  append_le(out, member.feature_level);
  append_text(out, member.peer_address);
  append_text(out, member.client_address);
  if (format >= kFormatWithPromotion) append_le(out, static_cast<uint8_t>(member.promote));
}

Result<Member> read_member(ByteReader& reader, uint8_t format) {
  Member member;
  member.id = NodeId(reader.read<uint64_t>());
  member.store = StoreId(reader.read<uint64_t>());
  member.feature_level = reader.read<uint32_t>();
  member.peer_address = read_text(reader);
  member.client_address = read_text(reader);
  const size_t longest = std::max(member.peer_address.size(), member.client_address.size());
  if (longest > kMaxAddressBytes) {
    return above_limit("the length of a member's address", longest, kMaxAddressBytes);
  }
  if (format >= kFormatWithPromotion) {
    const auto promote = reader.read<uint8_t>();
    if (promote > 1) return above_limit("the promotion of a member", promote, 1);
    member.promote = promote == 1;
  }
  return member;
}

void append_removed(std::string& out, const std::vector<RemovedMember>& removed) {
  append_le(out, static_cast<uint16_t>(removed.size()));
  for (const RemovedMember& one : removed) {
    append_le(out, one.id.value);
    append_le(out, one.store.value);
    append_le(out, one.index.value);
  }
}

Result<std::vector<RemovedMember>> read_removed(ByteReader& reader) {
  const auto count = reader.read<uint16_t>();
  if (count > kMaxRemoved) return above_limit("the number of removed members", count, kMaxRemoved);
  std::vector<RemovedMember> all;
  for (int i = 0; i < count && reader.ok(); ++i) {
    RemovedMember one;
    one.id = NodeId(reader.read<uint64_t>());
    one.store = StoreId(reader.read<uint64_t>());
    one.index = LogIndex(reader.read<uint64_t>());
    const bool ascends = all.empty() ? static_cast<bool>(one.id) : one.id > all.back().id;
    if (reader.ok() && !ascends) {
      return corrupt("removed member " + std::to_string(one.id.value) +
                     " does not ascend from the one before");
    }
    all.push_back(one);
  }
  return all;
}

uint8_t format_of(const Configuration& configuration) {
  if (configuration.level != 0) return kFormatWithLevel;
  if (!configuration.removed.empty()) return kFormatWithRemoved;
  const bool promotes = std::any_of(configuration.members.begin(), configuration.members.end(),
                                    [](const Member& member) { return member.promote; });
  return promotes ? kFormatWithPromotion : kFormatVersion;
}

/// Exactly the ids that stand in a list have a member, each once.
Status check_members(const Configuration& configuration) {
  std::set<NodeId> listed(configuration.voters.begin(), configuration.voters.end());
  listed.insert(configuration.outgoing.begin(), configuration.outgoing.end());
  listed.insert(configuration.learners.begin(), configuration.learners.end());
  for (const Member& member : configuration.members) {
    if (listed.erase(member.id) == 0) {
      return corrupt("member " + std::to_string(member.id.value) +
                     " stands twice or in no list of the configuration");
    }
  }
  if (!listed.empty()) {
    return corrupt("id " + std::to_string(listed.begin()->value) + " of the configuration has no " +
                   "member");
  }
  return ok_status();
}

/// Who was removed is not a member again, under its id or with its store.
Status check_removed(const Configuration& configuration) {
  for (const Member& member : configuration.members) {
    if (find_removed(configuration, member.id) == nullptr &&
        find_removed_store(configuration, member.store) == nullptr) {
      continue;
    }
    return corrupt("id or store of member " + std::to_string(member.id.value) +
                   " is that of a removed member");
  }
  return ok_status();
}

/// A level that is recorded is one that all members have.
Status check_level(const Configuration& configuration) {
  if (configuration.level < kRecordedLevelMin) {
    return corrupt("level " + std::to_string(configuration.level) +
                   " of the configuration: those below " + std::to_string(kRecordedLevelMin) +
                   " are not recorded");
  }
  const Member* const below = find_below(configuration, configuration.level);
  if (below == nullptr) return ok_status();
  return corrupt("member " + std::to_string(below->id.value) + " has feature level " +
                 std::to_string(below->feature_level) + ", the configuration level " +
                 std::to_string(configuration.level));
}

const char* lacking(uint8_t format) {
  return format == kFormatWithRemoved ? "was removed" : "waits for promotion";
}

/// What no configuration of a cluster can be.
Status check_voters(const Configuration& configuration) {
  if (configuration.voters.empty()) return corrupt("the configuration names no voter");
  for (const NodeId learner : configuration.learners) {
    if (!contains(configuration.voters, learner)) continue;
    return corrupt("id " + std::to_string(learner.value) + " is a voter and a learner");
  }
  return ok_status();
}

}  // namespace

void append_configuration(std::string& out, const Configuration& configuration) {
  const uint8_t format = format_of(configuration);
  append_le(out, format);
  append_ids(out, configuration.voters);
  append_ids(out, configuration.outgoing);
  append_ids(out, configuration.learners);
  append_le(out, static_cast<uint8_t>(configuration.members.size()));
  for (const Member& member : configuration.members) append_member(out, member, format);
  if (format >= kFormatWithRemoved) append_removed(out, configuration.removed);
  if (format >= kFormatWithLevel) append_le(out, configuration.level);
}

Result<Configuration> read_configuration(ByteReader& reader) {
  const auto format = reader.read<uint8_t>();
  if (format < kFormatVersion || format > kFormatWithLevel) {
    return corrupt("configuration format " + std::to_string(format) + ", this server knows 1 to 4");
  }
  Configuration configuration;
  const std::pair<const char*, std::vector<NodeId>*> lists[] = {
      {"voters", &configuration.voters},
      {"outgoing voters", &configuration.outgoing},
      {"learners", &configuration.learners}};
  for (const auto& [name, list] : lists) {
    Result<std::vector<NodeId>> ids = read_ids(reader, name);
    if (!ids) return ids.error();
    *list = std::move(*ids);
  }
  const auto count = reader.read<uint8_t>();
  if (count > kMaxMembers) return above_limit("the number of members", count, kMaxMembers);
  for (int i = 0; i < count && reader.ok(); ++i) {
    Result<Member> member = read_member(reader, format);
    if (!member) return member.error();
    configuration.members.push_back(std::move(*member));
  }
  if (format >= kFormatWithRemoved && reader.ok()) {
    Result<std::vector<RemovedMember>> removed = read_removed(reader);
    if (!removed) return removed.error();
    configuration.removed = std::move(*removed);
  }
  if (format >= kFormatWithLevel) configuration.level = reader.read<uint32_t>();
  if (!reader.ok()) return corrupt("the configuration ends too early");
  if (reader.remaining() > 0) {
    return corrupt(std::to_string(reader.remaining()) + " bytes follow the configuration");
  }
  const Status members = check_members(configuration);
  if (!members) return members.error();
  if (format == kFormatWithLevel) {
    if (const Status level = check_level(configuration); !level) return level.error();
  } else if (format != format_of(configuration)) {
    return corrupt("configuration format " + std::to_string(format) + " in which no member " +
                   lacking(format));
  }
  for (const Status& status : {check_voters(configuration), check_removed(configuration)}) {
    if (!status) return status.error();
  }
  return configuration;
}

std::string encode_configuration(const Configuration& configuration) {
  std::string out;
  append_configuration(out, configuration);
  return out;
}

Result<Configuration> decode_configuration(std::string_view bytes) {
  ByteReader reader(bytes);
  return read_configuration(reader);
}

std::string describe(const Configuration& configuration) {
  std::string out;
  const auto add = [&out](const char* list, const std::vector<NodeId>& ids) {
    if (ids.empty()) return;
    out += (out.empty() ? "" : " ") + std::string(list);
    for (const NodeId id : ids) out += (id == ids.front() ? " " : ",") + std::to_string(id.value);
  };
  add("voters", configuration.voters);
  add("outgoing", configuration.outgoing);
  add("learners", configuration.learners);
  if (configuration.level != 0) out += " level " + std::to_string(configuration.level);
  return out;
}

const Member* find_below(const Configuration& configuration, uint32_t level) {
  const Member* lowest = nullptr;
  for (const Member& member : configuration.members) {
    if (member.feature_level >= level) continue;
    if (lowest == nullptr || member.feature_level < lowest->feature_level) lowest = &member;
  }
  return lowest;
}

uint32_t first_level(const std::vector<Member>& members) {
  const auto lowest = std::min_element(
      members.begin(), members.end(),
      [](const Member& a, const Member& b) { return a.feature_level < b.feature_level; });
  const bool recorded = lowest != members.end() && lowest->feature_level >= kRecordedLevelMin;
  return recorded ? lowest->feature_level : 0;
}

const Member* find_member(const Configuration& configuration, NodeId id) {
  const auto found = std::find_if(configuration.members.begin(), configuration.members.end(),
                                  [id](const Member& member) { return member.id == id; });
  return found == configuration.members.end() ? nullptr : &*found;
}

const RemovedMember* find_removed(const Configuration& configuration, NodeId id) {
  const auto& all = configuration.removed;
  const auto at =
      std::lower_bound(all.begin(), all.end(), id,
                       [](const RemovedMember& removed, NodeId i) { return removed.id < i; });
  return at == all.end() || at->id != id ? nullptr : &*at;
}

const RemovedMember* find_removed_store(const Configuration& configuration, StoreId store) {
  const auto at = std::find_if(
      configuration.removed.begin(), configuration.removed.end(),
      [store](const RemovedMember& removed) { return store && removed.store == store; });
  return at == configuration.removed.end() ? nullptr : &*at;
}

}  // namespace holdfast::raft
