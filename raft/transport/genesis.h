// Entry 1 of a cluster, and the encoding of configurations in the log.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "raft/core/quorum.h"
#include "raft/core/types.h"

namespace holdfast::raft {

/// Payload of the kGenesis entry (index 1, term 1): which cluster this is and who begins it.
struct Genesis {
  ClusterId cluster;
  Configuration configuration;  ///< voters and their members; not joint, no learners
  friend bool operator==(const Genesis&, const Genesis&) = default;
};

/// Limits of the encoding; more is refused when decoding.
inline constexpr size_t kMaxAddressBytes = 512;

/// Payload of a kConfiguration entry. Formats: docs/peer-protocol.md.
std::string encode_configuration(const Configuration& configuration);
/// Errors (CORRUPT) name what is wrong: bad version, length, order of ids, member without a list.
Result<Configuration> decode_configuration(std::string_view bytes);

std::string encode_genesis(const Genesis& genesis);
Result<Genesis> decode_genesis(std::string_view bytes);

/// The member with this id, or null.
const Member* find_member(const Configuration& configuration, NodeId id);

}  // namespace holdfast::raft
