// GCJ-02 and BD-09 to WGS-84, as units/projection.py does it on the server; a test holds the two together.

const AXIS = 6378245;
const ECCENTRICITY_2 = 0.00669342162296594323;
const BD_TURN = (Math.PI * 3000) / 180;

/** A place [longitude, latitude] given in `system` (wgs84, gcj02, bd09) as one in WGS-84. */
export function toWgs84(point, system) {
  if (system === "wgs84") return point;
  return gcj02ToWgs84(system === "bd09" ? bd09ToGcj02(point) : point);
}

function gcj02ToWgs84(point) {
  let guess = point;
  for (let step = 0; step < 6; step += 1) {
    const back = wgs84ToGcj02(guess);
    guess = [guess[0] - (back[0] - point[0]), guess[1] - (back[1] - point[1])];
  }
  return guess;
}

function wgs84ToGcj02([longitude, latitude]) {
  if (longitude < 72.004 || longitude > 137.8347 || latitude < 0.8293 || latitude > 55.8271) return [longitude, latitude];
  const [east, north] = [longitude - 105, latitude - 35];
  const shrink = 1 - ECCENTRICITY_2 * Math.sin(radians(latitude)) ** 2;
  const northM = radians((AXIS * (1 - ECCENTRICITY_2)) / shrink ** 1.5);
  const eastM = radians((AXIS / Math.sqrt(shrink)) * Math.cos(radians(latitude)));
  return [longitude + shiftEast(east, north) / eastM, latitude + shiftNorth(east, north) / northM];
}

function shiftNorth(x, y) {
  const shift = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * Math.sqrt(Math.abs(x));
  return shift + waves(x, [[6, 20], [2, 20]]) + waves(y, [[1, 20], [1 / 3, 40], [1 / 12, 160], [1 / 30, 320]]);
}

function shiftEast(x, y) {
  const shift = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * Math.sqrt(Math.abs(x));
  return shift + waves(x, [[6, 20], [2, 20], [1, 20], [1 / 3, 40], [1 / 12, 150], [1 / 30, 300]]);
}

function waves(value, terms) {
  return (terms.reduce((sum, [turns, height]) => sum + height * Math.sin(value * turns * Math.PI), 0) * 2) / 3;
}

function bd09ToGcj02([longitude, latitude]) {
  const [x, y] = [longitude - 0.0065, latitude - 0.006];
  const radius = Math.hypot(x, y) - 0.00002 * Math.sin(y * BD_TURN);
  const angle = Math.atan2(y, x) - 0.000003 * Math.cos(x * BD_TURN);
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

function radians(degrees) {
  return (degrees * Math.PI) / 180;
}
