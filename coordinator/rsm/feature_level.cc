#include "coordinator/rsm/feature_level.h"

namespace holdfast::rsm {

const int32_t kFeatureLevel = kNewestFeatureLevel;

}  // namespace holdfast::rsm
