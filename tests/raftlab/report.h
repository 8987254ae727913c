// What `status` prints of a node, as JSON. docs/raftlab.md documents every field.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "raft/core/types.h"
#include "tests/support/core_cluster.h"

namespace holdfast::raftlab {

/// "append_request" and the like.
const char* message_type_name(raft::MessageType type);
/// The type of that name; "_request" may be left out.
std::optional<raft::MessageType> message_type(std::string_view name);

/// What the lab knows of a node besides its core.
struct NodeView {
  const raft::testing::CoreNode& node;
  uint64_t digest;  ///< of the commands that it applied
  /// What scripts call the reads, by the context that the core has for each.
  const std::vector<std::string>& read_names;
};

/// One line without its end: the node, and those of `network` that it sent.
std::string status_line(const NodeView& view, const raft::Configuration& first,
                        const std::vector<raft::Message>& network);

}  // namespace holdfast::raftlab
