// The encoding of configurations: payload of kConfiguration entries, and part of entry 1.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"
#include "raft/core/quorum.h"
#include "raft/core/types.h"

namespace holdfast::raft {

/// Limits of the encoding, as kMaxMembers is; more is refused when decoding.
inline constexpr size_t kMaxAddressBytes = 512;
/// Members that were removed since the cluster began: 24 bytes each in every later configuration.
inline constexpr size_t kMaxRemoved = 1'024;
/// Programs below it do not know the encoding of a level, and never meet one: it is recorded only
/// if all members have it.
inline constexpr uint32_t kRecordedLevelMin = 3;

/// Payload of a kConfiguration entry. Formats: docs/peer-protocol.md.
std::string encode_configuration(const Configuration& configuration);
/// Errors (CORRUPT) name what is wrong: bad version, length, order of ids, member without a list,
/// no voter.
Result<Configuration> decode_configuration(std::string_view bytes);

/// The same as a part of something longer that ends with it.
void append_configuration(std::string& out, const Configuration& configuration);
Result<Configuration> read_configuration(ByteReader& reader);

/// "voters 1,2,4 outgoing 1,2,3 learners 5 level 3", without what is empty.
std::string describe(const Configuration& configuration);

/// The lowest feature level of a member, or null if all have `level`; by id if there are several.
const Member* find_below(const Configuration& configuration, uint32_t level);
/// The level at which a cluster of these members begins: the highest that all have.
uint32_t first_level(const std::vector<Member>& members);
/// The member with this id, or null.
const Member* find_member(const Configuration& configuration, NodeId id);
/// The removed member with this id or store, or null.
const RemovedMember* find_removed(const Configuration& configuration, NodeId id);
const RemovedMember* find_removed_store(const Configuration& configuration, StoreId store);

}  // namespace holdfast::raft
