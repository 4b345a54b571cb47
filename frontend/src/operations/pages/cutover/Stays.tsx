import { useState } from "react";
import { Button } from "@/shared/controls";
import { Hash } from "@/shared/copying";
import { Card, Stack, Table } from "@/shared/layout";
import { cutover as strings } from "@/strings/cutover";
import styles from "./cutover.module.css";
import type { CutoverStatus } from "./stages";

const AT_ONCE = 8;

/** Tenants of the share who cannot be moved yet. */
export function Stays({ stays }: { stays: CutoverStatus["stays"] }) {
  const [all, setAll] = useState(false);
  const shown = all ? stays : stays.slice(0, AT_ONCE);
  return (
    <Card>
      <Stack>
        <div>
          <h2>{strings.stays}</h2>
          <p className={styles.soft}>{stays.length === 0 ? strings.nobodyStays : strings.staysAbout}</p>
        </div>
        {stays.length > 0 && (
          <Table label={strings.stays}>
            <thead>
              <tr>
                <th scope="col">{strings.tenant}</th>
                <th scope="col">{strings.voices}</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((one) => (
                <tr key={one.user_id}>
                  <td className={styles.nowrap}>
                    <Hash value={one.user_id} label={strings.tenant} />
                  </td>
                  <td>{one.voices}</td>
                </tr>
              ))}
            </tbody>
          </Table>
        )}
        {stays.length > shown.length && (
          <div>
            <Button small onClick={() => setAll(true)}>
              {strings.allStays(stays.length)}
            </Button>
          </div>
        )}
      </Stack>
    </Card>
  );
}
