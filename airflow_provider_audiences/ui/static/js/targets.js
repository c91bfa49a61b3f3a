/** What tasks write to, by the table that the API server makes of common/targets.py. */

import { FOLDERS, KINDS, PLATFORMS } from "./targets_table.js";

export { FOLDERS, KINDS, PLATFORMS };

/** What the addresses of their assets begin with. */
export const SCHEMES = Object.keys(PLATFORMS).map((platform) => `${platform}://`);

/** Return whether an address is one of these targets. */
export const isOurs = (uri) => SCHEMES.some((scheme) => (uri ?? "").startsWith(scheme));
