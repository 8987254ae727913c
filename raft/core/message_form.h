// Whether a message's fields can come from a correct server at all. What fails here is dropped and
// counted: bytes from a peer never crash the core.
#pragma once

#include "raft/core/types.h"

namespace holdfast::raft {

/// Terms and indexes stay below this, so that no arithmetic on a peer's numbers can wrap.
inline constexpr uint64_t kMaxOrdinal = uint64_t{1} << 53;

bool well_formed(const Message& m);

}  // namespace holdfast::raft
