// An operator who changes the members, and exchanges their programs.
#include "tests/simulation/faults.h"
#include "tests/simulation/operator.h"

namespace holdfast::sim {

void Faults::members(const Fault& fault) {
  SimNode& asked = node(fault);
  if (!asked.up()) return;
  const auto at = [&](int64_t number) -> SimNode& {
    return *nodes_[static_cast<size_t>(number) % nodes_.size()];
  };
  const auto wish = static_cast<Wish>(static_cast<uint64_t>(fault.amount) %
                                      static_cast<uint64_t>(Wish::kRemoveLeader));
  const SimNode& whom = at(fault.other);
  const SimNode& in_place = at(fault.mask);
  if (wish == Wish::kReplace && &whom == &in_place) return;
  ask_members(asked, request_of(wish, whom, in_place), [this](const Answer& answer) {
    world_.mark(answer.result ? Mark::kMembersChanged : Mark::kMembersRefused);
  });
}

void Faults::operate(const Fault& fault) { operator_->want(fault); }

void Faults::upgrade(const Fault& fault) {
  node(fault).exchange_program(static_cast<int32_t>(world_.weather().old_level) + 1);
  node(fault).start_after(from_ms(fault.for_ms));
}

void Faults::raise(const Fault& fault) {
  if (!node(fault).up()) return;
  api::ChangeMembersRequest request;
  request.raiseLevel = static_cast<int32_t>(world_.weather().old_level) + 1;
  ask_members(node(fault), request, [this](const Answer& answer) {
    world_.mark(answer.result ? Mark::kMembersChanged : Mark::kRaiseRefused);
  });
}

}  // namespace holdfast::sim
