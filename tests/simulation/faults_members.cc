// An operator who changes the members, and exchanges their programs.
#include "coordinator/server/member_request.h"
#include "tests/simulation/faults.h"

namespace holdfast::sim {

namespace {

/// What Fault::amount asks for.
enum class Wish : uint8_t {
  kAdd,
  kAddLearner,
  kAddVoter,
  kPromote,
  kPromoteByForce,
  kRemove,
  kRemoveByForce,
  kReplace,
  kCount
};

api::NewMember newcomer(const SimNode& node, api::MemberRole::type role) {
  api::NewMember added;
  added.nodeId = node.number();
  added.peerAddress = node.address();
  added.role = role;
  return added;
}

api::ChangeMembersRequest request_of(Wish wish, const SimNode& whom, const SimNode& in_place) {
  api::ChangeMembersRequest request;
  request.force = wish == Wish::kPromoteByForce || wish == Wish::kRemoveByForce;
  switch (wish) {
    case Wish::kAdd:
      request.added = {newcomer(whom, api::MemberRole::JOINING)};
      break;
    case Wish::kAddLearner:
      request.added = {newcomer(whom, api::MemberRole::LEARNER)};
      break;
    case Wish::kAddVoter:
      request.added = {newcomer(whom, api::MemberRole::VOTER)};
      break;
    case Wish::kPromote:
    case Wish::kPromoteByForce:
      request.promoted = {whom.number()};
      break;
    case Wish::kReplace:
      request.added = {newcomer(in_place, api::MemberRole::VOTER)};
      request.removed = {whom.number()};
      break;
    default:
      request.removed = {whom.number()};
      break;
  }
  return request;
}

}  // namespace

void Faults::members(const Fault& fault) {
  SimNode& asked = node(fault);
  if (!asked.up()) return;
  const auto at = [&](int64_t number) -> SimNode& {
    return *nodes_[static_cast<size_t>(number) % nodes_.size()];
  };
  const auto wish =
      static_cast<Wish>(static_cast<uint64_t>(fault.amount) % static_cast<uint64_t>(Wish::kCount));
  const SimNode& whom = at(fault.other);
  const SimNode& in_place = at(fault.mask);
  if (wish == Wish::kReplace && &whom == &in_place) return;
  ask_for(asked, request_of(wish, whom, in_place), Mark::kMembersChanged, Mark::kMembersRefused);
}

void Faults::upgrade(const Fault& fault) {
  node(fault).exchange_program(static_cast<int32_t>(world_.weather().old_level) + 1);
  node(fault).start_after(from_ms(fault.for_ms));
}

void Faults::raise(const Fault& fault) {
  if (!node(fault).up()) return;
  api::ChangeMembersRequest request;
  request.raiseLevel = static_cast<int32_t>(world_.weather().old_level) + 1;
  ask_for(node(fault), request, Mark::kMembersChanged, Mark::kRaiseRefused);
}

// What was answered is made: the server that answered goes by a committed configuration that has
// it.
void Faults::ask_for(SimNode& asked, const api::ChangeMembersRequest& request, Mark made,
                     Mark refused) {
  Call call;
  call.direct = [request](server::Engine& engine, server::CallId id) {
    engine.change_members(id, api::RequestContext{}, request);
  };
  asked.call(call, [this, &asked, request, made, refused](const Answer& answer) {
    world_.mark(answer.result ? made : refused);
    if (!answer.result || !asked.up()) return;
    const raft::Raft& core = asked.core();
    const auto& placed = core.configurations().placed_at(core.commit());
    const bool itself_gone =
        std::count(request.removed.begin(), request.removed.end(), asked.number()) > 0;
    if (itself_gone || server::left_to_do(placed.configuration, request).empty()) return;
    throw Broken(Rule::kI8, asked.name() + " answered a change of the members that is not made");
  });
}

}  // namespace holdfast::sim
