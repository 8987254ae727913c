// Entry 1 of a cluster.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "raft/core/configuration.h"
#include "raft/core/types.h"

namespace holdfast::raft {

/// Payload of the kGenesis entry (index 1, term 1): which cluster this is and who begins it.
struct Genesis {
  ClusterId cluster;
  Configuration configuration;  ///< voters and their members; not joint, no learners
  friend bool operator==(const Genesis&, const Genesis&) = default;
};

std::string encode_genesis(const Genesis& genesis);
Result<Genesis> decode_genesis(std::string_view bytes);

/// The feature level that the entry records as in force; zero: none.
uint32_t recorded_level(const Entry& entry);

}  // namespace holdfast::raft
