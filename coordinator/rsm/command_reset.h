// reset(): each command struct as new, while its strings and lists keep their memory. Decoding
// reuses structs, and a field that the bytes leave out must not keep another command's value: what
// apply does would then depend on what this node decoded before.
#pragma once

#include "gen/cpp/command_types.h"

namespace holdfast::rsm {

inline void reset(command::CommandHeader& header) {
  header.level = header.originNode = 0;
  header.kind = command::CommandKind::UNSPECIFIED;
  header.originRequest = header.clusterTimeMs = header.wallUnixMs = header.decidedTerm = 0;
  header.sessionId = header.sequence = 0;
  header.acknowledged.clear();
}

inline void reset(command::LockClaim& claim) {
  claim.path.clear();
  claim.mode = api::LockMode::UNSPECIFIED;
  claim.permits = claim.limit = 0;
}

inline void reset(command::Acquire& acquire) {
  reset(acquire.claim);
  acquire.waitMs = acquire.lockDelayMs = 0;
  acquire.maxQueue = 0;
  acquire.value.clear();
  acquire.owner.clear();
}

inline void reset(command::AcquireAll& acquire) {
  acquire.claims.clear();
  acquire.waitMs = acquire.lockDelayMs = 0;
  acquire.maxQueue = 0;
  acquire.value.clear();
  acquire.owner.clear();
}

inline void reset(command::Release& release) {
  release.path.clear();
  release.holderId = release.to = 0;
}

inline void reset(command::CancelAcquire& cancel) {
  cancel.path.clear();
  cancel.acquireSequence = 0;
}

inline void reset(command::SetHolderValue& set) {
  set.path.clear();
  set.holderId = 0;
  set.value.clear();
}

inline void reset(command::Guard& guard) {
  guard.path.clear();
  guard.holderId = 0;
}

inline void reset(command::PutKey& put) {
  put.path.clear();
  put.value.clear();
  put.expectedVersion = 0;
  put.makeParents = false;
  reset(put.guard);
}

inline void reset(command::CreateKey& create) {
  create.path.clear();
  create.value.clear();
  create.kind = api::KeyKind::UNSPECIFIED;
  create.sequential = create.makeParents = false;
  create.ttlMs = 0;
  reset(create.guard);
}

inline void reset(command::RemoveKey& remove) {
  remove.path.clear();
  remove.expectedVersion = 0;
  remove.recursive = false;
  reset(remove.guard);
}

/// The rest are rare enough to be made anew.
template <class Body>
void reset(Body& body) {
  body = Body();
}

}  // namespace holdfast::rsm
