// Linked before the server's own: a server as it was before the newest feature level. It says the
// level before to the others and at its start, and refuses what is above.
#include "coordinator/rsm/feature_level.h"

namespace holdfast::rsm {

const int32_t kFeatureLevel = kNewestFeatureLevel - 1;

}  // namespace holdfast::rsm
