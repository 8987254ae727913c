#include "raft/transport/genesis.h"

#include <set>

#include "raft/core/configuration.h"
#include "raft/core/wire.h"

namespace holdfast::raft {

namespace {

constexpr uint8_t kFormatVersion = 1;

/// What only the first configuration of a cluster must fulfil.
Status check_first(const Configuration& configuration) {
  if (!configuration.outgoing.empty() || !configuration.learners.empty() ||
      !configuration.removed.empty()) {
    return corrupt("the genesis holds a joint configuration, learners or removed members");
  }
  std::set<StoreId> stores;
  for (const Member& member : configuration.members) {
    if (!member.store || !stores.insert(member.store).second) {
      return corrupt("store " + std::to_string(member.store.value) + " of member " +
                     std::to_string(member.id.value) + " is zero or stands twice");
    }
  }
  return ok_status();
}

}  // namespace

std::string encode_genesis(const Genesis& genesis) {
  std::string out;
  append_le(out, kFormatVersion);
  append_le(out, genesis.cluster.value);
  append_configuration(out, genesis.configuration);
  return out;
}

Result<Genesis> decode_genesis(std::string_view bytes) {
  ByteReader reader(bytes);
  const auto version = reader.read<uint8_t>();
  if (version != kFormatVersion) {
    return corrupt("genesis format " + std::to_string(version) + ", this server knows " +
                   std::to_string(kFormatVersion));
  }
  Genesis genesis;
  genesis.cluster = ClusterId(reader.read<uint64_t>());
  Result<Configuration> configuration = read_configuration(reader);
  if (!configuration) return configuration.error();
  if (!genesis.cluster) return corrupt("the genesis names cluster 0");
  const Status first = check_first(*configuration);
  if (!first) return first.error();
  genesis.configuration = std::move(*configuration);
  return genesis;
}

uint32_t recorded_level(const Entry& entry) {
  if (entry.type == EntryType::kConfiguration) {
    const auto configuration = decode_configuration(entry.data.view());
    return configuration ? configuration->level : 0;
  }
  if (entry.type != EntryType::kGenesis) return 0;
  const auto genesis = decode_genesis(entry.data.view());
  return genesis ? genesis->configuration.level : 0;
}

}  // namespace holdfast::raft
