/** What tasks write to: the table of common/targets.py, which a test compares with this one. */

/** Titles of the platforms, by the scheme of their assets' addresses. */
export const PLATFORMS = { applovin: "AppLovin", pai: "Alibaba PAI" };

/** Titles of the kinds of targets, by their names. */
export const KINDS = { audience: "Audience", suppression_list: "Suppression list", group: "Group" };

/** Names of each platform's kinds, by the first segment of the path of their assets' addresses. */
export const KIND_OF_FOLDER = {
  applovin: { audiences: "audience", suppression: "suppression_list" },
  pai: { groups: "group" },
};

/** What the addresses of their assets begin with. */
export const SCHEMES = Object.keys(PLATFORMS).map((platform) => `${platform}://`);

/** Return whether an address is one of these targets. */
export const isOurs = (uri) => SCHEMES.some((scheme) => (uri ?? "").startsWith(scheme));
